package broker

const childEnv = "SILT_BROKER_TEST_CHILD"

func child(string) {}
