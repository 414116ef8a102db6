// Package e2e tests silt as its users run it: the binary as a process, a real Apache Kafka over SASL_SSL, a registry, and independent
// readers of what came out. Its tests have the build tag e2e: they download the real parts once (see package parts) and take minutes.
package e2e
