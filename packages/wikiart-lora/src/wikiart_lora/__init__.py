"""LoRA fine-tuning of a pretrained diffusion model in the painting styles."""
