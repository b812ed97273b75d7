"""Fine-tuning of a quantized model by what its float model says (knowledge distillation, Hinton et al. 2015)."""
