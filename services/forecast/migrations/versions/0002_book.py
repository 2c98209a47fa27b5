"""Every version of what was heard, instead of the last one only.

What was kept so far is taken over as it is; the versions before it come with a rebuild from the owners'
history. The former tables stay until no replica of the former release can be running.
"""

from chassis.migrations import Migration

revision = "0002"
down_revision = "0001"

VERSION = (
    "version bigint NOT NULL, counted bigint NOT NULL, recorded_at timestamptz NOT NULL,"
    " effective_at timestamptz NOT NULL"
)
PARTS = "uuid[] NOT NULL DEFAULT '{}'", "bigint[] NOT NULL DEFAULT '{}'"
DIGITS = """CASE
    WHEN currency IN ('BIF','CLP','DJF','GNF','ISK','JPY','KMF','KRW','PYG','RWF','UGX','UYI','VND','VUV','XAF',
                      'XOF','XPF') THEN 0
    WHEN currency IN ('BHD','IQD','JOD','KWD','LYD','OMR','TND') THEN 3
    WHEN currency IN ('CLF','UYW') THEN 4 ELSE 2 END"""
TAKEN_OVER = {
    "users": ("user", "jsonb_build_object('name', name)"),
    "products": ("product", "jsonb_build_object('name', name)"),
    "stages": (
        "stage",
        (
            "jsonb_build_object('name', name, 'pipeline_id', pipeline_id, 'category', category, 'probability',"
            " probability)"
        ),
    ),
    "territories": (
        "territory",
        "jsonb_build_object('name', name, 'parent_id', parent_id, 'deleted', deleted)",
    ),
    "territory_assignments": (
        "territory_assignment",
        (
            "jsonb_build_object('user_id', user_id, 'territory_id', territory_id, 'valid_from',"
            " (extract(epoch FROM greatest(valid_from, '0001-01-01Z')) * 1000000)::bigint, 'valid_to',"
            " (extract(epoch FROM least(valid_to, '9999-12-31Z')) * 1000000)::bigint)"
        ),
    ),
    "sight_lines": (
        "reporting_line",
        (
            "jsonb_build_object('user_id', user_id, 'manager_id', manager_id, 'valid_from',"
            " (extract(epoch FROM greatest(valid_from, '0001-01-01Z')) * 1000000)::bigint, 'valid_to',"
            " (extract(epoch FROM least(valid_to, '9999-12-31Z')) * 1000000)::bigint)"
        ),
    ),
    "exchange_rates": (
        "exchange_rate",
        (
            "jsonb_build_object('currency', from_currency, 'target', to_currency, 'valid_from', valid_from,"
            " 'rate', rate::text, 'deleted', deleted)"
        ),
    ),
    "tenant_settings": (
        "tenant",
        (
            "jsonb_build_object('reporting_currency', reporting_currency, 'time_zone', time_zone,"
            " 'first_month', first_month)"
        ),
    ),
    "converting_leads": ("lead", "jsonb_build_object('converting', converting)"),
}


def upgrade() -> None:
    forecast = Migration("forecast")
    ids, ends = PARTS
    forecast.table(
        "deal_versions",
        f"""id uuid NOT NULL, {VERSION},
        kind smallint NOT NULL,
        state smallint NOT NULL,
        deleted boolean NOT NULL,
        name text NOT NULL,
        owner_id uuid,
        account_id uuid,
        pipeline_id uuid,
        stage_id uuid,
        lead_id uuid,
        amount bigint,
        currency text NOT NULL,
        closes_on date NOT NULL,
        category smallint NOT NULL DEFAULT 0,
        product_ids {ids}, product_ends {ends},
        split_ids {ids}, split_ends {ends},
        overlay_ids {ids}, overlay_ends {ends},
        PRIMARY KEY (tenant_id, id, version)""",
    )
    forecast.index("deal_versions_counted", "deal_versions", "counted")
    forecast.table(
        "reference_versions",
        f"kind text NOT NULL, id uuid NOT NULL, {VERSION}, content jsonb NOT NULL,"
        " PRIMARY KEY (tenant_id, kind, id, version)",
    )
    forecast.index("reference_versions_counted", "reference_versions", "counted")
    forecast.sql("""
        ALTER TABLE data.progress ADD COLUMN epoch uuid NOT NULL DEFAULT gen_random_uuid(),
            ADD COLUMN reference_changes bigint NOT NULL DEFAULT 0
    """)
    forecast.fence("progress", "SELECT, INSERT, UPDATE, DELETE")
    forecast.sql(f"""
        INSERT INTO data.deal_versions (tenant_id, id, version, counted, kind, recorded_at, effective_at, state,
            deleted, name, owner_id, account_id, pipeline_id, stage_id, lead_id, amount, currency, closes_on,
            product_ids, product_ends)
        SELECT d.tenant_id, d.id, d.version, 0, 2, d.recorded_at, d.effective_at, d.state, d.deleted, d.name,
            d.owner_id, d.account_id, s.pipeline_id, d.stage_id, d.lead_id,
            round(d.amount * 10 ^ ({DIGITS})), d.currency, d.closes_on, d.product_ids,
            ARRAY(SELECT round(part * 10 ^ ({DIGITS})) FROM unnest(d.product_ends) AS part)::bigint[]
        FROM data.deals AS d LEFT JOIN data.stages AS s ON s.tenant_id = d.tenant_id AND s.id = d.stage_id
    """)
    for table, (kind, content) in TAKEN_OVER.items():
        forecast.sql(f"""
            INSERT INTO data.reference_versions (tenant_id, kind, id, version, counted, recorded_at, effective_at,
                content)
            SELECT tenant_id, '{kind}', id, version, 0, '0001-01-01Z', '0001-01-01Z', {content} FROM data.{table}
        """)
