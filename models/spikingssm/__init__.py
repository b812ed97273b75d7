"""SpikingSSM (Shen et al. 2024, arXiv 2408.14909): state-space layers whose outputs spike."""
