module tandem/bench/pion-echo

go 1.19
