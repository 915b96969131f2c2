"""The colours of charts and pages: the model's, the target's, and those of what is compared.

They stand out on white and on near-black alike, with a contrast of at least 3, and from one another for the three
kinds of colour blindness; the model and the target, the untrained and the trained model differ in grey, too. The
dashboard hands them to its style sheets as `--model`, `--target` and `--run-0` to `--run-3`, so that no colour is
written twice.
"""

MODEL = "#2468b8"
TARGET = "#d9591c"
TARGET_SOFT = "#eba683"
ON_TARGET, ON_TARGET_SOFT = "#ffffff", "#17202e"
# What is compared, first to fourth.
RUNS = ("#7d54c9", "#2b9a55", "#bf8700", "#cf4f94")
# Wherever both are shown: the untrained GPT-2 and the pretrained model.
UNTRAINED, TRAINED = RUNS[:2]
GUESS = "#8491a5"
FAINT = "rgba(132, 145, 165, 0.35)"
