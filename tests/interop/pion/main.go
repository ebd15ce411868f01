// A client on Pion: sends an Opus track and messages to a WHIP end point and counts what comes back.
//
//	pion-client URL SECONDS
//
// Prints one JSON object.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media"
)

type result struct {
	Status   int    `json:"status"`
	Ended    int    `json:"ended"`
	State    string `json:"state"`
	Sent     int    `json:"sent"`
	Received int64  `json:"received"`
	Foreign  int64  `json:"foreign"`
	Echo     string `json:"echo"`
}

func main() {
	seconds, err := strconv.Atoi(os.Args[2])
	check(err)
	peer, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	check(err)
	track, err := webrtc.NewTrackLocalStaticSample(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "pion")
	check(err)
	_, err = peer.AddTrack(track)
	check(err)
	channel, err := peer.CreateDataChannel("chat", nil)
	check(err)

	found := result{}
	connected, echoed := make(chan struct{}), make(chan string, 1)
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	channel.OnOpen(func() { check(channel.SendText("hello")) })
	channel.OnMessage(func(message webrtc.DataChannelMessage) { echoed <- string(message.Data) })
	peer.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			if bytes.HasPrefix(packet.Payload, frame(0)[:2]) {
				atomic.AddInt64(&found.Received, 1)
			} else {
				atomic.AddInt64(&found.Foreign, 1)
			}
		}
	})

	offer, err := peer.CreateOffer(nil)
	check(err)
	gathered := webrtc.GatheringCompletePromise(peer)
	check(peer.SetLocalDescription(offer))
	<-gathered
	location := ""
	var answer string
	found.Status, location, answer = request("POST", os.Args[1], peer.LocalDescription().SDP)
	check(peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	wait(connected, "connection")

	ticker := time.NewTicker(20 * time.Millisecond)
	for ; found.Sent < 50*seconds; found.Sent++ {
		<-ticker.C
		check(track.WriteSample(media.Sample{Data: frame(byte(found.Sent)), Duration: 20 * time.Millisecond}))
	}
	select {
	case found.Echo = <-echoed:
	case <-time.After(20 * time.Second):
	}
	time.Sleep(500 * time.Millisecond)
	found.State = peer.ConnectionState().String()
	found.Received, found.Foreign = atomic.LoadInt64(&found.Received), atomic.LoadInt64(&found.Foreign)
	base, err := url.Parse(os.Args[1])
	check(err)
	session, err := base.Parse(location)
	check(err)
	found.Ended, _, _ = request("DELETE", session.String(), "")
	check(peer.Close())
	check(json.NewEncoder(os.Stdout).Encode(found))
}

// A frame of Opus as nobody else would send it.
func frame(number byte) []byte {
	return append([]byte{0x78, 0xA5, number}, make([]byte, 40)...)
}

func request(method, address, body string) (int, string, string) {
	asked, err := http.NewRequest(method, address, bytes.NewBufferString(body))
	check(err)
	asked.Header.Set("Content-Type", "application/sdp")
	response, err := http.DefaultClient.Do(asked)
	check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(err)
	return response.StatusCode, response.Header.Get("Location"), string(text)
}

func wait(done <-chan struct{}, what string) {
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		check(fmt.Errorf("no %s", what))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
