// Package lab teaches and judges the decision engine of packaging, and prices workloads.
//
// Its workloads are generated from seeds, so that the shipped model, and what is said of it, can be made again: Train
// learns a model, Evaluate compares it with trying everything, with each fixed rule, and with each encoder alone. What a
// real workload would cost is priced by Images and Replay.
package lab
