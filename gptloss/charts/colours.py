"""The colours of charts and pages: the model's, the target's, and those of what is compared.

They stand out on white and on near-black alike, with a contrast of at least 3. The dashboard hands them to its style
sheets as `--model`, `--target` and `--run-0` to `--run-3`, so that no colour is written twice.
"""

MODEL = "#2f80d8"
TARGET = "#d9591c"
TARGET_SOFT = "#eba683"
ON_TARGET, ON_TARGET_SOFT = "#ffffff", "#17202e"
# What is compared, first to fourth.
RUNS = ("#8a63d2", "#1b9e77", "#b98400", "#d6569b")
# Wherever both are shown: the untrained GPT-2 and the pretrained model.
UNTRAINED, TRAINED = RUNS[:2]
GUESS = "#8491a5"
FAINT = "rgba(132, 145, 165, 0.35)"
