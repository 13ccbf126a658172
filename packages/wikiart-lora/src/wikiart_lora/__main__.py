"""`python -m wikiart_lora`, which `accelerate launch -m` needs for several processes."""

from wikiart_lora.cli import main

raise SystemExit(main())
