"""Spiking S5: the state space of S5 under the spiking neurons of SpikingSSM, for streams of events."""
