// A browser that talks to a Realtime server through Tandem: a tone, events, an answer, an interruption.
async ({ pitch, session }) => {
  const audio = new AudioContext({ sampleRate: 48000 });
  await audio.resume();
  const tone = new OscillatorNode(audio, { frequency: pitch });
  const microphone = audio.createMediaStreamDestination();
  tone.connect(microphone);
  tone.start();
  const peer = new RTCPeerConnection();
  peer.addTrack(microphone.stream.getAudioTracks()[0]);
  const channel = peer.createDataChannel("oai-events");
  const events = [];
  const waiting = [];
  channel.onmessage = (message) => {
    events.push(JSON.parse(message.data));
    waiting.splice(0).forEach((wake) => wake());
  };
  const until = async (type) => {
    for (;;) {
      const found = events.find((event) => event.type === type);
      if (found) return found;
      await new Promise((wake) => waiting.push(wake));
    }
  };
  const heard = new Promise((done) => { peer.ontrack = (event) => done(event.track); });
  await peer.setLocalDescription();
  const form = new FormData();
  form.set("sdp", peer.localDescription.sdp);
  form.set("session", JSON.stringify(session));
  const response = await fetch("/v1/realtime/calls", { method: "POST", body: form });
  const answer = await response.text();
  if (response.status !== 201) return { status: response.status, answer };
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  // Without an element that plays it Chromium decodes nothing.
  const stream = new MediaStream([await heard]);
  window.element = new Audio();
  window.element.muted = true;
  window.element.srcObject = stream;
  const analyser = new AnalyserNode(audio, { fftSize: 8192 });
  audio.createMediaStreamSource(stream).connect(analyser);
  const updated = await until("session.updated");
  channel.send(JSON.stringify({ type: "response.create", event_id: "mine" }));
  await until("output_audio_buffer.started");
  await new Promise((done) => setTimeout(done, 1500));
  const bins = new Float32Array(analyser.frequencyBinCount);
  const peaks = [];
  for (let n = 0; n < 5; n++) {
    analyser.getFloatFrequencyData(bins);
    peaks.push(bins.indexOf(Math.max(...bins)) * 48000 / 8192);
    await new Promise((done) => setTimeout(done, 100));
  }
  channel.send(JSON.stringify({ type: "response.cancel" }));
  channel.send(JSON.stringify({ type: "output_audio_buffer.clear" }));
  await until("output_audio_buffer.cleared");
  await new Promise((done) => setTimeout(done, 1000));
  const inbound = [...(await peer.getStats()).values()].find((report) => report.type === "inbound-rtp");
  const types = events.map((event) => event.type);
  if (session.keep) await new Promise((done) => { channel.onclose = done; setTimeout(done, 5000); });
  peer.close();
  return { status: response.status, peaks, types, instructions: updated.session.instructions,
           received: inbound.packetsReceived, lost: inbound.packetsLost };
}
