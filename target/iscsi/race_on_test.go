//go:build race

package iscsi_test

const raceDetector = true
