"""What each flag means, and what to do about it."""

from __future__ import annotations

from trainedon.evidence.protocol.documents import Flag

# code: (meaning, remedy)
KNOWN = {
    "no-unseen": (
        "A score means nothing by itself: there is nothing to compare it with.",
        "Give pictures of the same kind and origin that the model cannot have seen, with --unseen.",
    ),
    "told-from-mirror": (
        "Mirror images of such pictures are not as likely as the pictures, as of text, so that a model that never saw "
        "them knows the pictures better too.",
        "Give pictures of the kind that the model cannot have seen (--mirror-reference), or a model that cannot have "
        "seen these (--control): they say how far that goes.",
    ),
    "mirrored-by-exif": (
        "A model that was trained without regard to EXIF was trained on the mirror images of these pictures, and knows "
        "those better.",
        "If training read pictures as they are stored, say so: --orientation stored.",
    ),
    "handed-by-jpeg": (
        "The grid of JPEG begins at the left, so that these files have another grid than their mirror images. A model "
        "that was trained on other files with one and the same such grid prefers it, by about as much as odds of 2 "
        "to 1 allow for.",
        "Give pictures of the kind that were saved in the same way and that the model cannot have seen "
        "(--mirror-reference): they set the odds.",
    ),
    "behind-mirror": (
        "The scores run against the direction that training would give them: the model was trained on mirror images of "
        "these pictures, or such pictures are seldom this way round.",
        "Look at whether the pictures were mirrored before they came here. Do not turn the scores round.",
    ),
    "few-unseen": (
        "With so few unseen pictures small p-values and low false-positive rates are out of reach.",
        "Add unseen pictures of the same kind and origin.",
    ),
    "blind-baseline-separates": (
        "The two sets can be told apart without the model, so a difference of scores need not come from training.",
        "Choose unseen pictures that match the others in origin, subject, date and processing.",
    ),
    "captions-differ": (
        "The two sets can be told apart by their captions alone, without the model and without the pictures, so a "
        "difference of scores need not come from training.",
        "Give both sets captions of one origin: written by the same people, or by one program.",
    ),
    "asked-differently": (
        "Every attack asks the model with a class or a caption; asked in another way it answers otherwise, also about "
        "pictures that it was not trained on.",
        "Give both sets class labels, or captions, of one origin; or let the model infer all classes: --labels infer.",
    ),
    "caption-signal": (
        "With other captions the attack no longer tells the sets apart. So answers a model that has learnt pictures "
        "with their captions, and so it answers too where the captions of one set fit their pictures better.",
        "Give both sets captions of one origin; if there are none, say that the finding hangs on the captions.",
    ),
    "blind-baseline-not-run": (
        "It was not checked whether the two sets can be told apart without the model.",
        "Give at least ten usable pictures a side, as pictures and not as scores alone.",
    ),
    "codec-mismatch": (
        "File formats leave traces in the pixels that an attack can mistake for training.",
        "Save both sets in the same way, or take both from the same source.",
    ),
    "resolution-mismatch": (
        "Pictures of other sizes are resized by other amounts, which an attack can mistake for training.",
        "Choose unseen pictures of the same sizes, or take both sets from the same source.",
    ),
    "dealt-by-source": (
        "Pictures of one source are no independent observations. p-values of single pictures take each for the work of "
        "somebody: all of one source share its luck, and the false discovery rate is not that of one artist's works.",
        "Unseen works of the suspects' own sources compare best; else works of as many others as there are.",
    ),
    "chosen-after-scoring": (
        "Whoever has seen scores can choose pictures by them: the best of many that were never used look used.",
        "Ask about the whole list that was asked about first, or about pictures that were never scored.",
    ),
    "asked-before": (
        "Each further run on the same pictures is another try at finding something; only the p-value of twins is "
        "corrected for it.",
        "Decide on the attacks beforehand and name them all in one run, which corrects for their number.",
    ),
    "excluded-pictures": (
        "Pictures that could not be used have no part in any number.",
        "Look up the reasons in pictures.parquet and repair or replace the files.",
    ),
    "passed-over": (
        "If these files hold pictures, those have no part in any number, and a set is not what it was meant to be.",
        "Do with them what is said, and give the pictures again; or take the files out of the folder.",
    ),
    "duplicates": (
        "Each picture counts once: later copies, and copies in another set, were left out.",
        "Remove the copies; a picture that is in two sets must leave one of them.",
    ),
    "near-duplicates": (
        "Of pictures that look alike one counts, so that the same picture is not taken for several pieces of evidence.",
        "Nothing need be done; audit.json or evaluation.json names some of them under duplicates.",
    ),
    "near-duplicates-across": (
        "Nearly the same picture stands in both sets; if one was used for training, the other is no unseen picture.",
        "Take such pictures out of the unseen ones.",
    ),
    "near-duplicates-not-sought": (
        "Pictures that look alike may have been counted as several, which makes p-values too small.",
        "Give pictures and not scores alone, or a column cluster that names what belongs together.",
    ),
    "captions-missing": (
        "The model was asked about these pictures with the empty prompt, with which it was hardly trained; where the "
        "sets differ in this, their scores can differ without any training.",
        "Give every picture a caption: NAME.txt beside NAME.png, a metadata.jsonl, a column caption, or --caption.",
    ),
    "pixels-chosen": (
        "These pictures can be read in several ways, and nobody said which one training took. All were read in the way "
        "that the model seems to know best, which was found without looking at the sets.",
        "If you know what training did, say so with --alpha or --orientation, and choose another --out.",
    ),
    "pixels-uncertain": (
        "These pictures can be read in several ways, and nobody said which one training took. If it took another one, "
        "the model was asked about pixels that it never saw, and its memory of them does not show.",
        "Find out what training did, and say so with --alpha white, black or drop, or --orientation exif or stored.",
    ),
    "distilled": (
        "Few-step students are known to lose the memory of single pictures that their teacher has (arXiv 2502.02970): "
        "finding nothing in one says little about what the model that it was distilled from was trained on.",
        "Audit the model that it was distilled from.",
    ),
    "unseen-differ": (
        "One half of the unseen pictures differs from the other, though chance alone divided them: something is wrong "
        "with the scores, or a rare accident happened.",
        "Repeat the run with other unseen pictures, and report both.",
    ),
    "ties": (
        "Many pictures of the two sets have exactly the same score; ties count half, and no threshold can part them.",
        "Look at whether the attack gives few different scores; prefer one that gives more.",
    ),
    "not-scored": (
        "Pictures without a finite score have no part in any number.",
        "Look up the reasons in scores.parquet; if they are many, trust the numbers less.",
    ),
    "attack-below-chance": (
        "The scores run against the direction that training would give them: the attack does not work on this model, "
        "or the sets differ in some other way.",
        "Do not turn the scores round. Try another attack, and look at how the sets were put together.",
    ),
    "multiple-attacks": (
        "Several attacks are several chances to find something by luck; the p-values of the set are corrected for that "
        "(Holm), and intervals are widened so that they hold together.",
        "Choose one attack before you look at any score.",
    ),
    "attacks-added": (
        "Whoever has seen scores can try attacks until one finds something by luck. No claim rests on those that were "
        "added, and tests and intervals are corrected for all attacks, but not for the choice of when to stop.",
        "Name all attacks before anything is scored. To rely on one of these, score other pictures with it.",
    ),
    "attacks-disagree": (
        "The claim speaks of the first attack named; another attack, alone, would lead to another one.",
        "Report all attacks, never the best of them.",
    ),
}


def flag(code: str, raised_because: str) -> Flag:
    """A flag of a known code (KeyError otherwise), raised for the reason given as a whole sentence."""
    meaning, remedy = KNOWN[code]
    return Flag(code=code, raised_because=raised_because, meaning=meaning, remedy=remedy)
