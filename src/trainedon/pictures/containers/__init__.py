"""Files with many pictures in them: arrays, tables, tars, and several of these together."""
