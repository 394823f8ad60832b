-- Tables that are read for the sake of few rows.

-- query: task_by_title
-- why: One task of 600,000 has this title, and no index begins with it.
-- expects: sequential_scan_discards_rows
select id, status from app.tasks where title = 'Follow up on A customer was delayed by the tax rules #51271';

-- query: failed_jobs_of_a_queue
-- why: Three of a hundred jobs have failed, a sixth of them embeddings: a partial index would hold just these.
-- expects: sequential_scan_discards_rows
select id, last_error from app.background_jobs where status = 'failed' and queue = 'embed' and created_at > now() - interval '3 months';

-- query: comments_edited_lately
-- why: A few thousand of 800,000 comments were edited in the last weeks; most were never edited at all.
-- expects: sequential_scan_discards_rows
select id, task_id, body from app.comments where edited_at > now() - interval '60 days' order by edited_at desc;

-- query: overdue_task_titles_of_a_word
-- why: A search for a word in the middle of the title reads all tasks for a handful: only a trigram index would do.
-- expects: sequential_scan_discards_rows
select id, title from app.tasks where title like '%billing team should not block%#1234%';

-- query: join_on_creation_time
-- why: The join needs a dozen atoms of 400,000 by the time of their change, which no index knows: for each topic all of its atoms are filtered.
-- expects: index_scan_filters_rows
-- may: nested_loop_over_many_rows
select a.id, t.name
from app.atoms a
join app.topics t on t.tenant_id = a.tenant_id and t.id = a.topic_id
where a.updated_at between now() - interval '200 days' and now() - interval '200 days' + interval '10 minutes';

-- query: cost_of_failed_runs_planned
-- why: Only planned: the scan keeps one of 1,200 classifications by the planner's own count.
-- expects: sequential_scan_discards_rows
-- analyze: no
select count(*), avg(confidence) from app.classifications where label = 'request' and confidence > 0.995;
