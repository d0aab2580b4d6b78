package faultfs

import (
	"context"
	"maps"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// over is what each node that the kernel knows belongs to.
type over struct {
	fs    *FS
	mount *mount
}

// call is the request that ctx is of.
func (o over) call(ctx context.Context) call {
	c := call{gone: o.mount.going}
	if caller, ok := fuse.FromContext(ctx); ok {
		c.thread = caller.Pid
	}
	return c
}

// totalPages is the size of the disk: 16 GiB.
const totalPages = 4 << 20

// dirNode is a directory as the kernel knows it.
type dirNode struct {
	fs.Inode
	over
	dir *dir
}

// inode is what the kernel knows a node by.
func (d *dirNode) inode(ctx context.Context, n node, out *fuse.EntryOut) *fs.Inode {
	fill(&out.Attr, n)
	switch n := n.(type) {
	case *dir:
		return d.NewInode(ctx, &dirNode{over: d.over, dir: n}, fs.StableAttr{Mode: syscall.S_IFDIR, Ino: n.ino})
	default:
		return d.NewInode(ctx, &fileNode{over: d.over, file: n.(*file)}, fs.StableAttr{Mode: syscall.S_IFREG, Ino: n.about().ino})
	}
}

// fill says of n what stat asks for.
func fill(out *fuse.Attr, n node) {
	a := n.about()
	out.Ino, out.Mode, out.Blksize, out.Nlink = a.ino, a.mode, pageSize, 1
	switch n := n.(type) {
	case *dir:
		out.Mode |= syscall.S_IFDIR
		out.Nlink = 2
	case *file:
		out.Mode |= syscall.S_IFREG
		out.Size, out.Blocks = uint64(n.size), uint64(len(n.pages))*pageSize/512
	}
	if a.parent == nil && a.ino != 1 {
		out.Nlink = 0
	}
	out.SetTimes(&a.mtime, &a.mtime, &a.mtime)
}

// Lookup implements fs.NodeLookuper.
func (d *dirNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n := d.dir.entries[name]
	if n == nil {
		return nil, syscall.ENOENT
	}
	return d.inode(ctx, n, out), 0
}

// Readdir implements fs.NodeReaddirer.
func (d *dirNode) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	var list []fuse.DirEntry
	for _, name := range slices.Sorted(maps.Keys(d.dir.entries)) {
		n := d.dir.entries[name]
		mode := uint32(syscall.S_IFREG)
		if _, ok := n.(*dir); ok {
			mode = syscall.S_IFDIR
		}
		list = append(list, fuse.DirEntry{Name: name, Mode: mode, Ino: n.about().ino})
	}
	return fs.NewListDirStream(list), 0
}

// Getattr implements fs.NodeGetattrer.
func (d *dirNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	fill(&out.Attr, d.dir)
	return 0
}

// Setattr implements fs.NodeSetattrer.
func (d *dirNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	d.dir.set(in)
	fill(&out.Attr, d.dir)
	return 0
}

// set takes over what is durable at once. Owners are not kept.
func (a *attr) set(in *fuse.SetAttrIn) {
	if mode, ok := in.GetMode(); ok {
		a.mode = mode & 0o7777
	}
	if t, ok := in.GetMTime(); ok {
		a.mtime = t
	}
}

// admit is for a change of names, which needs room or not.
func (d *dirNode) admit(ctx context.Context, room bool) syscall.Errno {
	if errno := d.fs.faults.admit(d.call(ctx)); errno != 0 {
		return errno
	}
	return d.fs.faults.admitRoom(room)
}

// Create implements fs.NodeCreater.
func (d *dirNode) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, errno := d.add(ctx, name, out, func(t *tree) node { return newFile(t.newAttr(mode)) })
	return inode, nil, fuse.FOPEN_KEEP_CACHE, errno
}

// Mkdir implements fs.NodeMkdirer.
func (d *dirNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return d.add(ctx, name, out, func(t *tree) node { return newDir(t.newAttr(mode)) })
}

func (d *dirNode) add(ctx context.Context, name string, out *fuse.EntryOut, make func(*tree) node) (*fs.Inode, syscall.Errno) {
	if errno := d.admit(ctx, true); errno != 0 {
		return nil, errno
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if d.dir.entries[name] != nil {
		return nil, syscall.EEXIST
	}
	n := make(d.fs.tree)
	d.fs.tree.change(binding{d.dir, name, n})
	return d.inode(ctx, n, out), 0
}

// Unlink implements fs.NodeUnlinker.
func (d *dirNode) Unlink(ctx context.Context, name string) syscall.Errno { return d.remove(ctx, name) }

// Rmdir implements fs.NodeRmdirer.
func (d *dirNode) Rmdir(ctx context.Context, name string) syscall.Errno { return d.remove(ctx, name) }

func (d *dirNode) remove(ctx context.Context, name string) syscall.Errno {
	if errno := d.admit(ctx, false); errno != 0 {
		return errno
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n := d.dir.entries[name]
	if n == nil {
		return syscall.ENOENT
	}
	if inUse(n) {
		return syscall.ENOTEMPTY
	}
	d.fs.tree.change(binding{d.dir, name, nil})
	return 0
}

func inUse(n node) bool {
	d, ok := n.(*dir)
	return ok && len(d.entries) > 0
}

// Rename implements fs.NodeRenamer.
func (d *dirNode) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	if errno := d.admit(ctx, false); errno != 0 {
		return errno
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	to := parent.(*dirNode).dir
	n := d.dir.entries[name]
	if n == nil {
		return syscall.ENOENT
	}
	if old := to.entries[newName]; old == n {
		return 0
	} else if inUse(old) {
		return syscall.ENOTEMPTY
	}
	d.fs.tree.change(binding{d.dir, name, nil}, binding{to, newName, n})
	return 0
}

// Fsync implements fs.NodeFsyncer.
func (d *dirNode) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	if errno := d.fs.faults.admitSync(d.call(ctx)); errno != 0 {
		return errno
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	d.fs.tree.syncDir(d.dir)
	return 0
}

// Statfs implements fs.NodeStatfser.
func (d *dirNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	used := 0
	d.fs.mu.Lock()
	d.fs.tree.root.eachFile(func(f *file) { used += len(f.pages) })
	d.fs.mu.Unlock()
	out.Bsize, out.Frsize, out.NameLen = pageSize, pageSize, 255
	out.Blocks = totalPages
	if d.fs.faults.find(full) == nil {
		out.Bfree = uint64(max(totalPages-used, 0))
	}
	out.Bavail = out.Bfree
	return 0
}
