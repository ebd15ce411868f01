"""Write a back end: a service that hears sessions and speaks to them, without knowing what WebRTC is.

async with serve("tcp://127.0.0.1:7001") as calls:
    async with trio.open_nursery() as nursery:
        async for call in calls:
            nursery.start_soon(agent, call)

docs/backend.md has the protocol under it, for other languages.
"""
