"""What an operator asks of steering: which places are there, and which would an answer name to whom?"""

from __future__ import annotations

from config.places import is_location
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.places import PlacesRequest, RankedHost, RankedPlace, RankedPlaces
from workers.signaling.steering import Steering
from workers.signaling.whereabouts import Location, Whereabouts, distance


class Desk:
    """Answers; changes nothing."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    async def answer(self, request: Message) -> Message:
        """The reply to one request."""
        if not isinstance(request, PlacesRequest):
            return Failure(f"signaling does not answer {type(request).__name__}")
        if not is_location(request.location):
            return Failure("latitude is -90 to 90, longitude -180 to 180")
        return survey(self._steering, request)


def survey(steering: Steering, request: PlacesRequest) -> RankedPlaces:
    """All places, those that are best for such a client first."""
    client = Location(*request.location) if request.location else None
    return RankedPlaces(
        tuple(
            RankedPlace(
                site=site.name,
                listed=listed,
                location=tuple(site.location or ()),
                countries=tuple(sorted(site.countries)),
                hosts=tuple(
                    RankedHost(host, steering.health_of(host).name.lower()) for host in site.hosts
                ),
                rank=rank,
                km=distance(client, site.location) if client and site.location else None,
            )
            for site, rank, listed in steering.survey(Whereabouts(client, request.country))
        )
    )
