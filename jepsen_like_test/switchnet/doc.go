// Package switchnet is a network of real processes that can be cut and spoiled,
// without anything of the kernel but network namespaces and TUN devices.
//
//	server in its namespace -> its TUN device -> the switch in this process -> the
//	receiver's TUN device -> the receiver's namespace
//
// Each machine is a network namespace with one device, whose other end this process
// holds. For each it reads one IP packet after the other, asks the link from this
// machine to that of the destination what becomes of it, and hands it over: at once,
// after a while (queue), twice or never. Machines may be far from each other (latency). This process is a machine too, called
// Clients, with a device in the namespace it was started in, so it reaches all others
// by their addresses, and tests dial real servers as any client would.
//
// Links have a direction: each ordered pair of machines has its own cuts and its own
// weather. What is cut off is lost without a word, as if somebody had pulled the
// cable: no reset and no ICMP message tells anybody. Chance follows from a seed, per
// link; which packet meets it depends on what the machines send when.
//
// Networks do not collide, also not with those of other processes: the kernel gives
// each its number with the name of the device, and the subnet follows from that. Nor
// can they outlive their process, even one that was killed: namespaces have no name
// and devices are not persistent, so the kernel removes both with the last file
// descriptor. Only processes still in a namespace keep it, without its device.
//
// Where there is no root, no TUN device or no Linux, New fails with ErrNotHere, so
// that a test can say why it was skipped.
package switchnet
