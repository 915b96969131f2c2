"""The pitfalls, in the order in which a loss is computed: what is scored, how it is averaged, by what it is divided.

Each was met in public; the issue or pull request stands beside it.
"""

from gptloss.lessons.pitfalls.case import Pitfall, Source
from gptloss.lessons.pitfalls.denominators import miscounted_bytes, other_tokens, per_word
from gptloss.lessons.pitfalls.digits import rounded, top_entropy
from gptloss.lessons.pitfalls.means import (
    log_of_mean,
    means_of_means,
    row_perplexities,
    token_perplexities,
    wrong_base,
)
from gptloss.lessons.pitfalls.targets import not_shifted, own_output, short_context, start_tokens

PITFALLS = (
    Pitfall(
        "shift",
        "Targets not shifted",
        "The target of a position is the token that comes next. Without the shift the model is scored on the token"
        " that it has just read, and with two shifts on the one after the next.",
        "Here the tokens repeat themselves, so the shift makes no difference.",
        (
            Source("huggingface/transformers", 27517, "MBart took its own input as targets and learned to copy it"),
            Source("huggingface/transformers", 47394, "a model shifted twice and learned the token after the next"),
        ),
        not_shifted,
    ),
    Pitfall(
        "start-token",
        "Start token twice, or left out",
        "A model that saw a start token in front of every text while it was trained expects exactly one. Two of"
        " them, or none, is a text that it has never seen.",
        "This model does not look at its start token.",
        (
            Source("EleutherAI/lm-evaluation-harness", 3333, "Gemma was given two, and its perplexity rose"),
            Source("EleutherAI/lm-evaluation-harness", 1465, "without one: perplexity 5,909,545,606; with it: 3.46"),
        ),
        start_tokens,
    ),
    Pitfall(
        "context",
        "Another context length or stride",
        "A token with fewer tokens before it is harder to predict. Two losses can be compared only if both name the"
        " same context and the same stride.",
        "Here a shorter context costs nothing.",
        (Source("SqueezeAILab/KVQuant", 16, "Llama 2 7B has 5.12 with 4,096 tokens and 5.48 with 2,048"),),
        short_context,
    ),
    Pitfall(
        "own-output",
        "Scored on its own output",
        "What a model writes by its first choices is what it finds likely. That number says how sure the model is of"
        " itself; it says nothing about anybody's text.",
        "The text is about as likely as what the model writes itself.",
        (Source("mlabonne/llm-course", 108, "each model was scored on texts that it had generated"),),
        own_output,
    ),
    Pitfall(
        "token-perplexities",
        "Mean of the tokens’ perplexities",
        "The exponential grows so fast that one surprising token outweighs all others. Average the losses first, and"
        " take the exponential of the mean.",
        "All tokens cost the same here, so the order makes no difference.",
        (Source("magenta/magenta", 239, "the exponential was moved inside the mean, as a fix"),),
        token_perplexities,
    ),
    Pitfall(
        "row-perplexities",
        "Mean of the rows’ perplexities",
        "A hard row counts for more than an easy one, and a short row for as much as a long one. The perplexity of a"
        " text comes from the losses of all its tokens.",
        "With one row, or with rows that cost the same, there is no difference. The first page lets you add a row.",
        (Source("huggingface/evaluate", 560, "its mean_perplexity gave 61 where others have about 6"),),
        row_perplexities,
    ),
    Pitfall(
        "log-of-mean",
        "Log of the mean probability",
        "The logarithm of a mean is not the mean of the logarithms: likely tokens hide the unlikely ones. The result"
        " is always too low (Jensen's inequality).",
        "All tokens have the same probability here.",
        (Source("McGill-NLP/bias-bench", 3, "probabilities were averaged where the paper averages their logs"),),
        log_of_mean,
    ),
    Pitfall(
        "batch-means",
        "Mean of batch means",
        "A short last batch counts for as much as a full one, so its tokens count for more. Add up all losses and"
        " divide once; accumulated gradients need the same care.",
        "All batches have the same size or the same mean here.",
        (
            Source("huggingface/transformers", 37766, "accumulated gradients were an average of averages"),
            Source("hiyouga/LlamaFactory", 7443, "the same batch: loss 6.4 in 2 steps of accumulation, 138 in 32"),
        ),
        means_of_means,
    ),
    Pitfall(
        "base",
        "2 to the power of nats",
        "Perplexity is the base of the logarithm to the power of the loss: e for nats, 2 for bits. Mixed bases make"
        " every model look better than it is.",
        "The loss is 0, and both bases give 1.",
        (Source("huggingface/evaluate", 242, "perplexity 19.12 where base e gives 70.61"),),
        wrong_base,
    ),
    Pitfall(
        "per-word",
        "Per word against per token",
        "The sum is the same; what it is divided by is not. A text has more or fewer words than scored tokens, and"
        " the exponential makes the difference large. Say which one it is.",
        "The text has as many words as scored tokens.",
        (
            Source(
                "EleutherAI/lm-evaluation-harness", 2301, "Llama 2 7B: 8.71 per word, and 5.47 per token in papers"
            ),
        ),
        per_word,
    ),
    Pitfall(
        "bytes",
        "Bytes counted wrongly",
        "Bits per byte need the bytes of the text as it is. Half a character decoded alone becomes U+FFFD, which has"
        " three bytes; a blank belongs to the token that it leads; CRLF is two bytes.",
        "These tokens have no leading blank.",
        (
            Source("openai/parameter-golf", 1719, "bytes were miscounted"),
            Source("openai/parameter-golf", 1271, "0.9485 bits per byte, and 1.1289 when each byte counts once"),
            Source("karpathy/nanochat", 693, "a lone byte counted as the three bytes of U+FFFD"),
        ),
        miscounted_bytes,
    ),
    Pitfall(
        "tokenizers",
        "Other tokens, compared by token",
        "A model with long tokens has fewer and harder guesses to make. Losses per token of two tokenizers are in"
        " different units; bits per byte are not.",
        "Both ways say the same here.",
        (Source("ggml-org/llama.cpp", 7111, "a perplexity per byte was asked for, to compare vocabularies"),),
        other_tokens,
    ),
    Pitfall(
        "precision",
        "Log of a rounded softmax",
        "With 16 bits a small probability is rounded, or becomes 0, whose logarithm is no number. log_softmax never"
        " makes the probability, and a sum of logarithms needs no product.",
        "All probabilities are large enough for 16 bits here.",
        (Source("FluxML/NNlib.jl", 21, "the softmax rounded to 0, and the loss was infinite"),),
        rounded,
    ),
    Pitfall(
        "top-entropy",
        "Entropy of the top ten",
        "An interface that gives ten log-probabilities hides all other tokens. Their share is missing from the sum,"
        " so the result is a lower bound.",
        "The ten likeliest tokens have all the probability here.",
        (Source("OpenPipe/ART", 555, "the entropy of the top k stands in for that of the whole vocabulary"),),
        top_entropy,
    ),
)
BY_KEY = {pitfall.key: pitfall for pitfall in PITFALLS}
