-- gldnet_forecasts: the profile of gldnet_forecasts of $month and $forces. From gldnet_forecasts of
-- that month, and street_segments. One row is a force.
with asked as (
    select unnest($forces::varchar[]) as force
),

segments as (
    select
        force,
        count(*) as segments
    from street_segments
    group by force
),

forecast as (
    select
        scored.force,
        scored.crime_type,
        count(*) as scores,
        count(distinct scored.segment_id) as scored_segments,
        count(distinct street_segments.segment_id) as known_segments,
        count(distinct scored.score) as distinct_scores,
        count(*) filter (where not coalesce(isfinite(scored.score), false)) as scores_not_finite,
        count(*) filter (where not coalesce(scored.trained_at <= $month, false)) as trained_later
    from gldnet_forecasts as scored
    left join street_segments
        on scored.force = street_segments.force and scored.segment_id = street_segments.segment_id
    where scored.month = $month and list_contains($forces::varchar[], scored.force)
    group by
        scored.force,
        scored.crime_type
)

select
    $month::varchar as month,
    asked.force,
    coalesce(sum(forecast.scores), 0)::bigint as scores,
    coalesce(sum(forecast.scores - forecast.scored_segments), 0)::bigint as repeated_scores,
    coalesce(
        sum(
            coalesce(segments.segments, 0) - forecast.known_segments
            + forecast.scored_segments - forecast.known_segments
        ),
        0
    )::bigint as segments_added_or_missing,
    coalesce(sum(forecast.scores_not_finite), 0)::bigint as scores_not_finite,
    coalesce(sum(forecast.trained_later), 0)::bigint as trained_later,
    min(forecast.distinct_scores / forecast.scores) as distinct_share
from asked
left join forecast
    on asked.force = forecast.force
left join segments
    on asked.force = segments.force
group by asked.force
order by asked.force
