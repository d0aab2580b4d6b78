package transport

import (
	"errors"
	"fmt"
	"io"
)

// ErrWrongNode is a Raft stream that reached another node than it was dialled
// for: the address has a new owner, or the node was made anew.
var ErrWrongNode = errors.New("another node answers there")

// A Raft stream begins with a preface from the dialling end,
//
//	"GCR" | version | len source | source | len target | target
//
// and an answer, before which nothing else may be sent:
//
//	verdict | len node id | node id of the answering end
//
// Node ids and not cluster ids, because a node that has just started does not
// know its cluster yet, and a node id belongs to one cluster at most.
type preface struct{ source, target string }

const (
	prefaceMagic   = "GCR"
	prefaceVersion = 1
)

type verdict byte

const (
	verdictWelcome     verdict = 1
	verdictWrongNode   verdict = 2
	verdictStranger    verdict = 3 // the source is not a server of this cluster, or not who it says
	verdictUnsupported verdict = 4 // version
)

func writePreface(w io.Writer, p preface) error {
	b := append([]byte(prefaceMagic), prefaceVersion)
	b = appendID(b, p.source)
	b = appendID(b, p.target)
	_, err := w.Write(b)
	return err
}

var errPrefaceVersion = errors.New("raft preface of another version")

func readPreface(r io.Reader) (preface, error) {
	var head [len(prefaceMagic) + 1]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return preface{}, fmt.Errorf("read raft preface: %w", err)
	}
	if string(head[:len(prefaceMagic)]) != prefaceMagic {
		return preface{}, fmt.Errorf("not a raft preface: %q", head)
	}
	if head[len(prefaceMagic)] != prefaceVersion {
		return preface{}, errPrefaceVersion
	}
	source, err := readID(r)
	if err != nil {
		return preface{}, fmt.Errorf("read raft preface: %w", err)
	}
	target, err := readID(r)
	if err != nil {
		return preface{}, fmt.Errorf("read raft preface: %w", err)
	}
	return preface{source: source, target: target}, nil
}

func writeVerdict(w io.Writer, v verdict, self string) error {
	_, err := w.Write(appendID([]byte{byte(v)}, self))
	return err
}

// readVerdict returns nil if the stream is welcome at the node it is for.
func readVerdict(r io.Reader, target string) error {
	var v [1]byte
	if _, err := io.ReadFull(r, v[:]); err != nil {
		return fmt.Errorf("read the answer to the raft preface: %w", err)
	}
	id, err := readID(r)
	if err != nil {
		return fmt.Errorf("read the answer to the raft preface: %w", err)
	}
	switch verdict(v[0]) {
	case verdictWelcome:
		if id == target {
			return nil
		}
		return fmt.Errorf("wanted node %s, found node %s: %w", target, id, ErrWrongNode)
	case verdictWrongNode:
		return fmt.Errorf("wanted node %s, found node %s: %w", target, id, ErrWrongNode)
	case verdictStranger:
		return fmt.Errorf("node %s does not know this node as a server of its cluster", id)
	case verdictUnsupported:
		return fmt.Errorf("node %s: %w", id, errPrefaceVersion)
	}
	return fmt.Errorf("node %s answered with an unknown verdict %d", id, v[0])
}

// appendID relies on checkNodeID: an id fits into the one byte of its length.
func appendID(b []byte, id string) []byte {
	return append(append(b, byte(len(id))), id...)
}

func readID(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	if n[0] == 0 || int(n[0]) > maxNodeID {
		return "", fmt.Errorf("a node id of %d bytes, want 1 to %d", n[0], maxNodeID)
	}
	id := make([]byte, n[0])
	if _, err := io.ReadFull(r, id); err != nil {
		return "", err
	}
	return string(id), nil
}
