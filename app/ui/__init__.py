"""The pages that people use in a browser, below /ui: rendered by the service, from the public API alone.

install.py       puts pages and static files on the app
route.py         what every page has in common: problems readable, headers strict, changes from this site only
sign_in.py       the reader's API key in a cookie, and out again; way_in.py leads those there who have none
service.py       the API as the pages reach it: the asynchronous client, in process, with the reader's credentials
rendering.py     Jinja's environment; a page whole, or the block of it that HTMX asked for
figures.py       how numbers, sizes and times are written
assets.py        static files under addresses that hold their hash
same_origin.py   whether a change was asked for by one of these pages

jobs.py, job.py  the list of jobs; one job, live, from job_config.py (settings with reasons) and curves.py (drawn without a script)
job_form.py      the form that submits one; job_values.py between form and request, spec_fields.py what the API says of its fields
datasets.py      the list and the upload; dataset.py one of them with its splits
queue.py         who works, what runs, what waits and why
"""
