package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testSeal(t testing.TB, key byte) *seal {
	t.Helper()
	s, err := newSeal(bytes.Repeat([]byte{key}, 32), gossipLabel)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealed is what memberlist makes of a message.
func (s *seal) sealed(message, data []byte) []byte {
	nonce := bytes.Repeat([]byte{5}, sealNonce)
	return append(append([]byte{sealVersion}, nonce...), s.gcm.Seal(nil, nonce, message, data)...)
}

func (s *seal) sealedPacket(message []byte) []byte {
	return append(bytes.Clone(s.header), s.sealed(message, s.label)...)
}

func (s *seal) sealedStream(message []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{encryptedType}, uint32(1+sealNonce+len(message)+sealTag))
	return slices.Concat(s.header, head, s.sealed(message, slices.Concat(head, s.label)))
}

func TestSeal_OnlyTheKeyOpensIt(t *testing.T) {
	ours, theirs := testSeal(t, 1), testSeal(t, 2)
	packet := ours.sealedPacket([]byte("hello"))
	if err := ours.packet(packet); err != nil {
		t.Errorf("a good packet: %v", err)
	}
	spoilt := bytes.Clone(packet)
	spoilt[len(spoilt)-1]++
	otherLabel, err := newSeal(bytes.Repeat([]byte{1}, 32), "globalchannex")
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"another key": theirs.sealedPacket([]byte("hello")), "a changed byte": spoilt, "cut short": packet[:20],
		"without label": packet[len(ours.header):], "another label": otherLabel.sealedPacket([]byte("hello")), "nothing": {}, "one byte": {labelType},
	} {
		if err := ours.packet(b); !errors.Is(err, errUnsealed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := ours.packet(ours.sealedPacket(make([]byte, maxPacket))); !errors.Is(err, errOversized) {
		t.Errorf("too large: %v", err)
	}
	stream := ours.sealedStream([]byte("state"))
	if got, err := ours.stream(bytes.NewReader(append(bytes.Clone(stream), "more"...))); err != nil || !bytes.Equal(got, stream) {
		t.Errorf("a good stream: %x, %v", got, err)
	}
	huge := append(bytes.Clone(ours.header), encryptedType, 0xff, 0xff, 0xff, 0xff)
	for what, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty": {nil, io.EOF}, "cut short": {stream[:len(stream)-1], errUnsealed}, "label only": {ours.header, errUnsealed},
		"4 GiB announced": {huge, errOversized}, "another key": {theirs.sealedStream([]byte("state")), errUnsealed},
	} {
		if _, err := ours.stream(bytes.NewReader(c.b)); !errors.Is(err, c.want) {
			t.Errorf("stream %s: %v, want %v", what, err, c.want)
		}
	}
}

func FuzzSeal(f *testing.F) {
	s := testSeal(f, 1)
	f.Add(s.sealedPacket([]byte("x")))
	f.Add(s.sealedStream([]byte("x")))
	f.Add(append(bytes.Clone(s.header), encryptedType, 0, 0, 0, 1, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = s.packet(b)
		if frame, err := s.stream(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, frame) {
			t.Error("a frame that was not sent")
		}
	})
}

// What a stranger sends to a real port is dropped before memberlist and counted;
// nothing grows, and the two servers go on. That they see each other without a
// count shows that the seal is memberlist's.
func TestWire_HostileTrafficIsCountedAndNothingGrows(t *testing.T) {
	a, b := pair(t)
	defer stopAll([]*server{a, b})
	if diff := cmp.Diff(Rejections{}, a.Rejections()); diff != "" {
		t.Fatalf("counted among friends: %s", diff)
	}
	udp, err := net.Dial("udp", a.self.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	goroutines := runtime.NumGoroutine()
	random := rand.NewChaCha8([32]byte{2})
	stranger := testSeal(t, 9)
	junk := func() []byte {
		b := make([]byte, 1+random.Uint64()%1400)
		random.Read(b)
		return b
	}
	packets := func() {
		udp.Write(junk())
		udp.Write(make([]byte, maxPacket+1+random.Uint64()%4000))
		udp.Write(stranger.sealedPacket(junk()))
	}
	streams := func() {
		for _, bytes := range [][]byte{junk(), stranger.sealedStream(junk()), append(bytes.Clone(stranger.header), encryptedType, 0xff, 0, 0, 0)} {
			if c, err := realDial(t.Context(), a.self.Addr); err == nil {
				c.Write(bytes)
				c.Close()
			}
		}
	}
	for _, send := range []func(){packets, streams} {
		deadline, before := time.Now().Add(30*time.Second), a.Rejections()
		for a.Rejections().Unsealed < before.Unsealed+200 || a.Rejections().Oversized < before.Oversized+100 {
			if send(); time.Now().After(deadline) {
				t.Fatalf("counted only %+v", a.Rejections())
			}
		}
	}
	eventually(t, 30*time.Second, "nothing is left of it", func() string {
		w := a.gossip.wire
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := runtime.NumGoroutine(); w.inbound > 0 || n > goroutines+10 {
			return fmt.Sprintf("%d streams, %d goroutines after %d", w.inbound, n, goroutines)
		}
		return ""
	})
	if len(a.Members()) != 2 || len(b.Members()) != 2 || a.gossip.list.NumMembers() != 2 {
		t.Errorf("members: %v, %v", a.Members(), b.Members())
	}
}

// A holder of the key who uses a living server's name from elsewhere changes nothing.
func TestGossip_KnownNameFromANewPlaceIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		a := w.server("a", nodeID(0), simAddr(0), 1, simAddr(0)).start(t)
		b := w.server("b", nodeID(1), simAddr(1), 0, simAddr(0)).start(t)
		defer stopAll([]*server{a, b})
		eventually(t, time.Minute, "join", func() string { return w.foundOnce([]*server{a, b}) })
		thief := w.server("b", nodeID(1), simAddr(5), 0, simAddr(0), simAddr(1))
		thief.self.Incarnation = b.self.Incarnation
		p, l, dial := w.sim.open(simAddr(5))
		thief.open(t, Options{Self: thief.self, Seeds: thief.seeds, Packets: p, Streams: l, Dial: dial,
			Identity: thief.disk, Consensus: &fakeRaft{world: newWorld(nil), nodeID: nodeID(1)}, Peers: answering{}})
		defer thief.stop()
		eventually(t, time.Minute, "counts", func() string {
			if a.Rejections().Moved == 0 || b.Rejections().Moved == 0 { // b hears its own name
				return fmt.Sprintf("%+v, %+v", a.Rejections(), b.Rejections())
			}
			return ""
		})
		pass(time.Minute)
		if addr, ok := a.AddrOf(nodeID(1)); !ok || addr != simAddr(1) || len(a.Members()) != 2 {
			t.Errorf("b is at %q now, members %v", addr, a.Members())
		}
	})
}
