package clone

import "os"

// isDevice reports whether name is a block device.
func isDevice(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0
}
