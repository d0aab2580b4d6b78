package cluster

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
)

const (
	// maxPacket is generous: memberlist sends 1400 bytes at most.
	maxPacket = 4 << 10
	// maxFrame bounds what one stream may bring: the state of as many processes as a
	// directory holds takes less than half of it. memberlist's own bound is 20 MiB.
	maxFrame = 4 << 20

	sealVersion   = 1  // memberlist's: AES-GCM without padding
	sealNonce     = 12 // bytes, after the version
	sealTag       = 16
	labelType     = 244 // memberlist's hasLabelMsg
	encryptedType = 10  // memberlist's encryptMsg
)

var (
	errUnsealed  = errors.New("not sealed with this cluster's gossip key")
	errOversized = errors.New("larger than anything gossip sends")
)

// seal tells what a holder of the gossip key has made from what anybody may have
// sent, before memberlist sees it: its decoders can be made to panic by what is
// malformed, it would buffer 20 MiB of anybody's stream, and it counts nothing.
// Whatever passes is opened once more by memberlist itself.
type seal struct {
	gcm    cipher.AEAD
	header []byte // the label, in front of every packet and stream
	label  []byte
}

func newSeal(key []byte, label string) (*seal, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	header := append([]byte{labelType, byte(len(label))}, label...)
	return &seal{gcm: gcm, header: header, label: []byte(label)}, nil
}

// packet checks one packet.
func (s *seal) packet(b []byte) error {
	if len(b) > maxPacket {
		return errOversized
	}
	sealed, ok := bytes.CutPrefix(b, s.header)
	if !ok {
		return errUnsealed
	}
	return s.open(sealed, s.label)
}

// stream reads the one frame that an incoming stream brings, and returns it as it
// came. A stream without a byte is nothing: nil, io.EOF.
func (s *seal) stream(r io.Reader) ([]byte, error) {
	head := make([]byte, len(s.header)+1+4)
	if n, err := io.ReadFull(r, head); n == 0 && err != nil {
		return nil, io.EOF
	} else if err != nil || !bytes.HasPrefix(head, s.header) || head[len(s.header)] != encryptedType {
		return nil, errUnsealed
	}
	size := binary.BigEndian.Uint32(head[len(s.header)+1:])
	if size > maxFrame {
		return nil, errOversized
	}
	// Grown as the bytes come: who only says that they will costs nothing.
	frame := bytes.NewBuffer(head)
	if n, err := io.CopyN(frame, r, int64(size)); err != nil || n != int64(size) {
		return nil, errUnsealed
	}
	whole := frame.Bytes()
	data := append(bytes.Clone(whole[len(s.header):len(head)]), s.label...)
	if err := s.open(whole[len(head):], data); err != nil {
		return nil, err
	}
	return whole, nil
}

func (s *seal) open(sealed, data []byte) error {
	if len(sealed) < 1+sealNonce+sealTag || sealed[0] != sealVersion {
		return errUnsealed
	}
	if _, err := s.gcm.Open(nil, sealed[1:1+sealNonce], sealed[1+sealNonce:], data); err != nil {
		return errUnsealed
	}
	return nil
}
