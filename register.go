// Package wedsync registers the k6 extension, so that this repository builds into a k6:
//
//	xk6 build --with github.com/wedsync/wedsync=.
//
// xk6 takes the value of --with both for the module and for the package to import; hence this package in the root.
package wedsync

import _ "github.com/wedsync/wedsync/xk6-wedsync" // k6/x/wedsync and --out wedsync
