// An echo on Pion: what comes on a call's audio track goes back on it, packet by packet.
//
//	pion-echo HOST UDP-PORT
//
// It speaks what `tandem call` speaks: POST an offer, get 201, the answer and a Location to DELETE. It is
// set up to be cheap: ICE lite, one UDP port for all calls, no NACK and no congestion feedback; reports
// are on. The address of its HTTP door is the first line that it prints.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/pion/ice/v2"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
)

const maxOffer = 64 << 10

type echo struct {
	api   *webrtc.API
	lock  sync.Mutex
	calls map[string]*webrtc.PeerConnection
	next  int
}

func main() {
	host := net.ParseIP(os.Args[1])
	port, err := strconv.Atoi(os.Args[2])
	check(err)
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: host, Port: port})
	check(err)
	check(socket.SetReadBuffer(4 << 20))

	settings := webrtc.SettingEngine{}
	settings.SetLite(true)
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, socket))
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetIncludeLoopbackCandidate(true)

	media := &webrtc.MediaEngine{}
	check(media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: opus(), PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio))
	interceptors := &interceptor.Registry{}
	check(webrtc.ConfigureRTCPReports(interceptors))

	door := &echo{
		api: webrtc.NewAPI(
			webrtc.WithSettingEngine(settings),
			webrtc.WithMediaEngine(media),
			webrtc.WithInterceptorRegistry(interceptors),
		),
		calls: map[string]*webrtc.PeerConnection{},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("http://%s/calls\n", listener.Addr())
	check(http.Serve(listener, door))
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		offer, err := io.ReadAll(io.LimitReader(r.Body, maxOffer))
		if err == nil {
			err = e.place(w, string(offer))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	case http.MethodDelete:
		e.end(r.URL.Path)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (e *echo) place(w http.ResponseWriter, offer string) error {
	call, err := e.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	back, err := webrtc.NewTrackLocalStaticRTP(opus(), "audio", "echo")
	if err != nil {
		return err
	}
	sender, err := call.AddTrack(back)
	if err != nil {
		return err
	}
	go drain(sender)
	call.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		go drain(receiver)
		packet := make([]byte, 1500)
		for {
			length, _, err := track.Read(packet)
			if err != nil {
				return
			}
			if _, err = back.Write(packet[:length]); err != nil {
				return
			}
		}
	})
	answer, err := answerTo(call, offer)
	if err != nil {
		return err
	}
	e.lock.Lock()
	e.next++
	path := fmt.Sprintf("/calls/%d", e.next)
	e.calls[path] = call
	e.lock.Unlock()
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusCreated)
	_, err = io.WriteString(w, answer)
	return err
}

func answerTo(call *webrtc.PeerConnection, offer string) (string, error) {
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
	if err := call.SetRemoteDescription(description); err != nil {
		return "", err
	}
	answer, err := call.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(call)
	if err := call.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return call.LocalDescription().SDP, nil
}

func (e *echo) end(path string) {
	e.lock.Lock()
	call := e.calls[path]
	delete(e.calls, path)
	e.lock.Unlock()
	if call != nil {
		_ = call.Close()
	}
}

// Whoever has interceptors must read, or they do nothing.
func drain(reader interface {
	Read([]byte) (int, interceptor.Attributes, error)
}) {
	packet := make([]byte, 1500)
	for {
		if _, _, err := reader.Read(packet); err != nil {
			return
		}
	}
}

func opus() webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1",
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
