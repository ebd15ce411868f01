// A call whose microphone begins only when all else is there, and how loud both sides were meanwhile.
async ({ seconds }) => {
  const peer = new RTCPeerConnection();
  const sender = peer.addTransceiver("audio").sender;
  const channel = peer.createDataChannel("transcript");
  const lines = [];
  channel.onmessage = ({ data }) => lines.push(JSON.parse(data));
  const opened = new Promise((done) => { channel.onopen = done; });
  const heard = new Promise((done) => { peer.ontrack = ({ track }) => done(new MediaStream([track])); });
  await peer.setLocalDescription();
  const response = await fetch("/v1/realtime/calls", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp,
  });
  await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  await opened;
  // Without an element that plays it Chromium decodes nothing.
  window.element = new Audio();
  window.element.srcObject = await heard;
  window.element.muted = true;
  const audio = new AudioContext({ sampleRate: 48000 });
  await audio.resume();
  const meter = audio.createScriptProcessor(512, 2, 1);
  const merged = audio.createChannelMerger(2);
  merged.connect(meter);
  meter.connect(audio.destination);
  const loudness = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  const levels = [];
  meter.onaudioprocess = ({ inputBuffer, playbackTime }) => levels.push(
    [playbackTime, loudness(inputBuffer.getChannelData(0)), loudness(inputBuffer.getChannelData(1))]);
  audio.createMediaStreamSource(await heard).connect(merged, 0, 1);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: plain });
  audio.createMediaStreamSource(microphone).connect(merged, 0, 0);
  await sender.replaceTrack(microphone.getAudioTracks()[0]);
  await new Promise((done) => setTimeout(done, seconds * 1000));
  await fetch(`${response.headers.get("Location")}/hangup`, { method: "POST" });
  peer.close();
  return { lines, levels };
}
