// A call that presses a key, and what it hears meanwhile: the strongest pitch of each tenth of a second.
async ({ digit, welcome, file, seconds }) => {
  const peer = new RTCPeerConnection();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const sender = peer.addTrack(microphone.getAudioTracks()[0]);
  const heard = new Promise((done) => { peer.ontrack = ({ track }) => done(new MediaStream([track])); });
  const connected = new Promise((done) => {
    peer.onconnectionstatechange = () => peer.connectionState === "connected" && done();
  });
  await peer.setLocalDescription();
  const response = await fetch("/v1/realtime/calls", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp,
  });
  await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  await connected;
  // Without an element that plays it Chromium decodes nothing.
  window.element = new Audio();
  window.element.srcObject = await heard;
  window.element.muted = true;
  const audio = new AudioContext({ sampleRate: 48000 });
  await audio.resume();
  const analyser = audio.createAnalyser();
  analyser.fftSize = 4096;
  audio.createMediaStreamSource(await heard).connect(analyser);
  const levels = new Float32Array(analyser.frequencyBinCount);
  const pitches = [];
  const listening = setInterval(() => {
    analyser.getFloatFrequencyData(levels);
    const loudest = levels.reduce((best, level, bin) => (level > levels[best] ? bin : best), 0);
    if (levels[loudest] > -50) pitches.push(loudest * 48000 / analyser.fftSize);
  }, 100);
  const end = performance.now() + seconds * 1000;
  const until = async (so) => {
    while (!so() && performance.now() < end) await new Promise((done) => setTimeout(done, 50));
  };
  const heardOf = (pitch) => () => pitches.some((each) => Math.abs(each - pitch) < 30);
  await until(heardOf(welcome));
  const before = pitches.splice(0);
  await until(() => sender.dtmf.canInsertDTMF);  // some moments after media could flow
  const takesKeys = sender.dtmf.canInsertDTMF;
  if (takesKeys) sender.dtmf.insertDTMF(digit, 100);
  await until(heardOf(file));
  clearInterval(listening);
  await fetch(`${response.headers.get("Location")}/hangup`, { method: "POST" });
  peer.close();
  return { takesKeys, before, after: pitches };
}
