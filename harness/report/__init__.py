"""One run folder in, one offline HTML file out; every number comes from the files of a run."""
