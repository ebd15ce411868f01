module tandem/tests/interop/pion-client

go 1.19
