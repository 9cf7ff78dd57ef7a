"""The names of what lies in a run folder. Imports nothing, so that names can be checked before anything is loaded."""

RUN = "run.json"  # what was asked; complete last of all
BEFORE = "before.json"  # the record of before, while attacks are added
SCORES, PICTURES, LOOKS = "scores.parquet", "pictures.parquet", "looks.parquet"
LABELS, DRAW, TWINS, TRUTH = "labels.json", "draw.json", "twins.json", "truth.json"
AUDIT, EVALUATION, PEAKS, SWEEP = "audit.json", "evaluation.json", "peaks.json", "sweep.json"
PAGE = "report.html"
SCORES_SHEET, EXPOSED = "scores.csv", "most-exposed.csv"
ATTACKS_SHEET, ATTACKS_LATEX = "attacks.csv", "attacks.tex"  # written when asked for
SEAL = "seal.json"
LOCK = ".lock"
SHARDS = "shards"  # the folder of what is scored so far, gone once a run is complete
SHARED = ".shared"  # in it while a cluster works: by this workers know the folder
RESTORED = "restored"  # the folder of evidence pictures, with a folder for each
EXHIBIT = "evidence.json"  # in each of these, written last

INPUTS = (PICTURES, LOOKS, SCORES, LABELS, DRAW, TWINS, TRUTH)  # that statistics and page are computed from
DOCUMENTS = (AUDIT, EVALUATION, PEAKS, SWEEP)
SHEETS = (SCORES_SHEET, EXPOSED, ATTACKS_SHEET, ATTACKS_LATEX)  # that follow from scores, as the page does
ALL = (RUN, BEFORE, *INPUTS, *DOCUMENTS, PAGE, *SHEETS, SEAL, LOCK)
