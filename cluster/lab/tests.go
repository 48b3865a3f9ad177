package lab

import (
	"errors"
	"fmt"
	"os"
)

// RunTests runs the tests of a package inside the lab, for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }
//
// Where the machine refuses, it says so and runs them outside: tests that need the packet-level network then
// find Inside false and skip.
func RunTests(m interface{ Run() int }) int {
	_, err := Enter(Config{Choice: Auto})
	var exit *Exit
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case err != nil:
		fmt.Fprintln(os.Stderr, "entering the lab:", err)
		return 1
	}
	return m.Run()
}
