package option

import (
	"net"
	"strings"
)

// Loopback says whether the host of a URL is this machine, by its address; no name but localhost is looked up. What goes there over plain
// http is seen by nobody on the way.
func Loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
