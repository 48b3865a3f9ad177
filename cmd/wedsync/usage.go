package main

// usageError is what the user can mend by calling again: a flag, a file, or what stands in it.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// ExitCode is 2.
func (usageError) ExitCode() int { return exitUsage }
