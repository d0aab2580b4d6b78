// Package faultfs mounts file systems that can be spoiled while processes use them:
// full, failing, hung, slow, and without power.
//
// Mount lays one over a directory. The processes see an ordinary directory with what was
// in it; their calls come through the kernel (FUSE) into this process. A call that
// changes something asks the faults first (admit), then changes a tree of names and
// pages in memory. Close writes the tree back into the directory as ordinary files;
// Offline does so for a while, for who wants to damage, copy or remove them.
//
// # Power cuts
//
// The tree knows what a disk would hold. Of each file, pages as they were at its last
// fsync, and its size then; of each directory, its names as they were at the last fsync
// that concerned them. CutPower goes back to that. So for processes nothing is durable
// but what they have synced, however long ago it was. What is durable:
//
//   - fsync or fdatasync of a file: its content and size, its allocated room, its name and
//     the names of the directories that lead to it. POSIX does not promise the name, but
//     the file systems of Linux keep that of a new file.
//   - fsync of a directory: all creations, removals and renamings in it, and its own name.
//     A renaming takes place as a whole, from one directory to another one too.
//   - permissions and times: at once. Owners are not kept; there are no links, no extended
//     attributes.
//   - Nothing else: closing a file syncs nothing, nor does sync of the whole system.
//
// With a source of random numbers a part of what was not synced survives: each page of
// 4 KiB with an even chance, which tears longer writes, the size of a file too, and of the
// changes of names the first ones, since file systems write those down in order. Of
// several writes to one page since the last fsync the last one survives, or none.
//
// The kernel's caches end with each power cut, because what is mounted afterwards is a
// new file system. Until then they are right: all changes come through the kernel, which
// sends each write at once and keeps what it sent. So a file may be read through mapped
// memory, as bbolt does, while it is written.
//
// # Who must not use it
//
// This process may read and write files in there, but not map them into memory, start a
// process in there as its working directory, nor hang in a fault: all of that stops
// the runtime of Go, or the end of the process, where only it could give the answer.
// Servers under test are processes of their own. Should this process be killed, a
// shell that looks once a second unmounts.
package faultfs
