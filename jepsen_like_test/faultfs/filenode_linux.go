package faultfs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fileNode is a file as the kernel knows it. The kernel keeps pages that were read or
// written, and sends each write at once.
type fileNode struct {
	fs.Inode
	over
	file *file
}

// Open implements fs.NodeOpener.
func (n *fileNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

// Getattr implements fs.NodeGetattrer.
func (n *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	fill(&out.Attr, n.file)
	return 0
}

// Setattr implements fs.NodeSetattrer.
func (n *fileNode) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, sized := in.GetSize()
	if sized {
		if errno := n.fs.faults.admit(n.call(ctx)); errno != 0 {
			return errno
		}
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if sized {
		n.file.truncate(int64(size))
		n.file.mtime = time.Now()
	}
	n.file.set(in)
	fill(&out.Attr, n.file)
	return 0
}

// Read implements fs.NodeReader.
func (n *fileNode) Read(_ context.Context, _ fs.FileHandle, into []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	return fuse.ReadResultData(into[:n.file.read(into, off)]), 0
}

// Write implements fs.NodeWriter.
func (n *fileNode) Write(ctx context.Context, _ fs.FileHandle, b []byte, off int64) (uint32, syscall.Errno) {
	if errno := n.fs.faults.admit(n.call(ctx)); errno != 0 {
		return 0, errno
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if errno := n.fs.faults.admitRoom(!n.file.hasRoom(off, int64(len(b)))); errno != 0 {
		return 0, errno
	}
	n.file.write(b, off)
	n.file.mtime = time.Now()
	return uint32(len(b)), 0
}

// Allocate implements fs.NodeAllocater.
func (n *fileNode) Allocate(ctx context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode&^unix.FALLOC_FL_KEEP_SIZE != 0 {
		return syscall.EOPNOTSUPP
	}
	if errno := n.fs.faults.admit(n.call(ctx)); errno != 0 {
		return errno
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if errno := n.fs.faults.admitRoom(!n.file.hasRoom(int64(off), int64(size))); errno != 0 {
		return errno
	}
	n.file.allocate(int64(off), int64(size), mode != 0)
	return 0
}

// Flush implements fs.NodeFlusher: to close a file is not to sync it.
func (n *fileNode) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Fsync implements fs.NodeFsyncer.
func (n *fileNode) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	if errno := n.fs.faults.admitSync(n.call(ctx)); errno != 0 {
		return errno
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.file.sync()
	n.fs.tree.syncName(n.file)
	return 0
}

// Statfs implements fs.NodeStatfser.
func (n *fileNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return (&dirNode{over: n.over}).Statfs(ctx, out)
}
