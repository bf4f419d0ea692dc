// Command weir is the whole system in one binary: the daemons (up, gateway, provider), the commands that steer them,
// and the tools that read their files. This package holds flags and wiring only; what they do is in appliance and in
// admin/client.
package main
