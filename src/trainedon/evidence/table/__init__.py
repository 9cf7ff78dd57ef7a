"""Tables of scores, pictures and features: read, held by columns, and prepared so that each row counts once.

Each file imports only from those before it:

- `codes`: texts as codes of a dictionary; `memory`; `sheet`: text tables; `lazy`: records of a document;
- `clusters`: near-duplicates by hash and features; `feature_table`: features of an encoder, `looks.parquet`;
- `rows`: the columns of the table of scores; `split`: the calibration half;
- `builder`: from rows as given to columns; `scores`: the table of scores;
- `picture_table`: the columns of `pictures.parquet`; `mirrored_copies`: pictures that are mirror images of others;
- `deduplicate`: scores joined to pictures, copies and near-duplicates.
"""
