package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	rebuildTimeout = 5 * time.Minute
	copyChunk      = 256 << 10
)

// rebuildWhenOffered puts the state of a server that is right in the place of this
// one's, whenever the leader says that it is this one's turn. The rest of a call that the
// disk keeps is left behind: package disk's Guard lets it go when the node is closed.
func (n *Node) rebuildWhenOffered() {
	for {
		select {
		case from := <-n.auditor.offers:
			done := make(chan struct{})
			go func() {
				defer close(done)
				n.rebuild(from)
			}()
			select {
			case <-done:
			case <-n.ctx.Done():
				bounded(context.Background(), time.Second, func(ctx context.Context) {
					select {
					case <-done:
					case <-ctx.Done():
					}
				})
				return
			}
		case <-n.ctx.Done():
			return
		}
	}
}

// rebuild leaves this node's state unread: the next comparison says whether it is
// right now.
func (n *Node) rebuild(from cluster.Server) {
	if leads, _ := n.consensus.leadership(); leads || n.consensus.fitness.distrusted() == nil {
		return // it hands leadership over first; or it was an old offer
	}
	ctx, cancel := context.WithTimeout(n.ctx, rebuildTimeout)
	defer cancel()
	began, done := time.Now(), n.auditor.rebuild()
	index, err := n.takeState(ctx, from)
	done(index)
	if err != nil {
		n.log.Warn("state not rebuilt; it is tried again", "from", from.NodeID, "err", err)
		return
	}
	n.log.Info("state rebuilt; it is read again once it was compared", "from", from.NodeID, "index", index, "took", time.Since(began))
}

func (n *Node) takeState(ctx context.Context, from cluster.Server) (uint64, error) {
	client, err := peers{n.port}.client(from.Addr)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := client.StateCopy(ctx, &peerpb.StateCopyRequest{NodeId: from.NodeID})
	if err != nil {
		return 0, err
	}
	return n.replica.Replace(ctx, &copyReader{stream: stream}, func(i uint64, l *raft.Log) error { return n.store.Log.GetLog(i, l) })
}

// copyReader is a stream as a file.
type copyReader struct {
	stream peerpb.Peer_StateCopyClient
	chunk  []byte
}

// Read implements io.Reader.
func (r *copyReader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		resp, err := r.stream.Recv()
		if err != nil {
			return 0, err // io.EOF at the end
		}
		r.chunk = resp.GetChunk()
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// copyWriter is the other end.
type copyWriter struct{ stream peerpb.Peer_StateCopyServer }

// Write implements io.Writer.
func (w copyWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		end := min(n+copyChunk, len(p))
		if err := w.stream.Send(&peerpb.StateCopyResponse{Chunk: p[n:end]}); err != nil {
			return n, err
		}
		n = end
	}
	return n, nil
}

// StateCopy implements peerpb.PeerServer.
func (p *peerServer) StateCopy(req *peerpb.StateCopyRequest, stream peerpb.Peer_StateCopyServer) error {
	n := p.node
	if req.GetNodeId() != n.nodeID {
		return status.Error(codes.NotFound, fmt.Sprintf("this is node %s", n.nodeID))
	}
	if err := n.consensus.fitness.distrusted(); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	ctx, cancel := context.WithTimeout(stream.Context(), rebuildTimeout)
	defer cancel()
	if err := n.replica.Copy(ctx, copyWriter{stream}); err != nil && !errors.Is(err, io.EOF) {
		return status.Error(codes.Unavailable, err.Error())
	}
	return nil
}
