//go:build tools

// Package ferretdb names the program that tests/servers/install builds: an import is how a
// module pins what it only runs.
package ferretdb

import _ "github.com/FerretDB/FerretDB/cmd/ferretdb"
