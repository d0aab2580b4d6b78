package disk

import (
	"fmt"
	"log"
	"os"
)

// raft-wal links coreos/pkg/capnslog, which takes over the standard logger as soon
// as it is linked in (etcd#4115, go-oidc#94). That logger is the host's: it gets
// back what Go gave it, unless somebody has set it since. Its newest code no longer
// does so, but is in no release.
func init() {
	if fmt.Sprintf("%T", log.Writer()) != "capnslog.packageWriter" {
		return
	}
	log.SetOutput(os.Stderr)
	if log.Flags() == 0 {
		log.SetFlags(log.LstdFlags)
	}
}
