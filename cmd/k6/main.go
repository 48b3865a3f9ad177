// Command k6 is k6 with the wedsync extension: what `xk6 build` makes, without xk6.
package main

import (
	"go.k6.io/k6/cmd"

	_ "github.com/wedsync/wedsync" // k6/x/wedsync and --out wedsync
)

func main() { cmd.Execute() }
