"""A file that is wrong: each problem with its path, what stands there, and what would be right; all of them at once."""

from __future__ import annotations

import pytest

from connector.config.load import loads
from connector.errors import ConfigError

#: A small file that is right; each case below adds to it.
BASE = """
[crm.hubspot]
access_token = "env:HUBSPOT_ACCESS_TOKEN"
[team.inbound]
side = "sales"
members = ["anna@acme.example"]
works_in = "hubspot"
manager = "boss@acme.example"
[[stages]]
name = "lead"
hubspot = "lead"
[[stages]]
name = "mql"
hubspot = "mql"
[[stages]]
name = "sql"
hubspot = "sql"
[[stages]]
name = "elsewhere"
salesforce = { lead_status = "Elsewhere" }
[assign.inbound]
team = "inbound"
[task.alert]
subject = "MQL: {first_name}"
due = "1 hour"
"""
NOT_BUILT = "is part of the language; not built yet: leave it out"
DURATION = 'a duration like "15 minutes", "4 business hours" or "30 days"'
HOURS = 'hours like "09:00-17:30", or several like ["09:00-12:00", "13:00-17:30"]'
EMAIL = 'an e-mail address like "anna@acme.example"'
SECRET = 'a secret written out; "env:NAME" for an environment variable, or "file:PATH" for the first line of a file'
CRON = 'like "every 5 minutes", or a cron line of five fields like "0 3 * * sun"'
CRITERION = "a criterion is judged before these are known: leave it out"
RULE = '[[transition]]\nname = "hot"\nto = "mql"\nwhen = "qualified"\n'
SLA = '[[sla]]\nname = "first"\nkind = "response"\nwithin = "1 hour"\n'
REJECTION = '[rejection]\nwhen = "hubspot.lead_status = \'X\'"\nreason = "campaign"\n'


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, source="config.toml")
    return [str(problem) for problem in caught.value.problems]


def test_the_base_is_right() -> None:
    assert loads(BASE, source="config.toml").ignored == ('stages[3] "elsewhere".salesforce',)


CASES = {
    # Keys
    "an unknown table": ("[gaurd]\ntasks = 5", ["gaurd: unknown key; did you mean guard?"]),
    "an unknown key": ('[crm]\nnative_sink = "none"', ["crm.native_sink: unknown key; did you mean native_sync?"]),
    "an unknown key like none": ("[tasks]\nzzz = 1", ["tasks.zzz: unknown key; one of a_day_an_owner, reminder"]),
    "an unknown key of a rule": (RULE + 'frm = ["lead"]', ['transition[0] "hot".frm: unknown key; did you mean from?']),
    "the code's own name of a key": (RULE + 'from_ = ["lead"]', ['transition[0] "hot".from_: unknown key; did you mean from?']),
    "an attribute that is no key": (
        '[fields.x]\nhubspot = "x"\nbuiltin = true',
        ["fields.x.builtin: unknown key; one of type, hubspot, salesforce, values, read, sync"],
    ),
    "a secret beside a misspelt key": (
        '[crm.salesforce]\ninstance_url = "https://x.example"\nclient_id = "env:A"\nclient_secret = "env:B"\nclint_secret = "hidden"',
        ["crm.salesforce.clint_secret: unknown key; did you mean client_secret?"],
    ),
    "a missing key": ('[[transition]]\nto = "mql"\nwhen = "qualified"', ["transition[0].name: missing; this key is needed"]),
    "a name that needs quotes": (
        REJECTION + 'reasons = { "No budget" = { touches = 1 } }',
        ["rejection.reasons.\"No budget\".touches: unknown key; did you mean needs_touches?"],
    ),
    # Types and values
    "an id like the program's own": (
        RULE + 'id = ":stages"', ['transition[0] "hot".id: ":stages"; no colon before it: ids that begin with one are the program\'s own'],
    ),
    "a name like the program's own": (
        SLA.replace('"first"', '" :first"'),
        ['sla[0] " :first".name: " :first"; no colon before it: ids that begin with one are the program\'s own'],
    ),
    "a table's name like the program's own": (
        '[task.":x"]\nsubject = "Hi"\ndue = "1 hour"',
        ['task.":x": ":x"; no colon before it: ids that begin with one are the program\'s own'],
    ),
    "text for a number": ('[guard]\ntasks = "many"', ['guard.tasks: "many"; a whole number, without quotes']),
    "true for a number": ("[guard]\ntasks = true", ["guard.tasks: true; a whole number, without quotes"]),
    "below the least": ("[guard]\ntasks = -1", ["guard.tasks: -1; at least 0"]),
    "no finite number": (
        '[[score]]\nname = "s"\npoints = nan\nwhen = "qualified"', ['score[0] "s".points: nan; a finite number'],
    ),
    "text for a list": (RULE + 'from = "lead"', ['transition[0] "hot".from: "lead"; a list [ … ]']),
    "a value for tables": ('[[example]]\nname = "e"\ncontact = 5\nexpect = {}', ['example[0] "e".contact: 5; a table']),
    "a table for tables": ("[score]\npoints = 1", ["score: a table; tables [[score]]"]),
    "none of the choices": ('[adopt]\nstage = "both"', ['adopt.stage: "both"; one of "hubspot", "salesforce", "furthest"']),
    "a duration that is none": ('[guard]\nwindow = "a day"', [f'guard.window: "a day"; {DURATION}']),
    "business time in weeks": (
        SLA + 'on_breach = []\nwarn = "2 business weeks"',
        ['sla[0] "first".warn: "2 business weeks"; business time is counted in minutes, hours or days'],
    ),
    "business time where none counts": (
        '[guard]\nhold_for = "3 business days"',
        ['guard.hold_for: "3 business days"; elapsed time, like "30 days": working hours do not count here'],
    ),
    "no time at all": (RULE + 'again_after = "0 days"', ['transition[0] "hot".again_after: "0 days"; more than nothing']),
    "a share as a number": ("[guard]\nrule_share = 0.05", ['guard.rule_share: 0.05; a share like "20%", from "0%" to "100%"']),
    "a share over all": ('[guard]\nshrink = "120%"', ['guard.shrink: "120%"; a share like "20%", from "0%" to "100%"']),
    "a moment in quotes": (
        '[adopt]\nclocks_from = "2026-12-01"',
        ['adopt.clocks_from: "2026-12-01"; a date or moment without quotes, like 2026-12-01 or 2026-12-01T09:00:00+01:00'],
    ),
    "no schedule": ('[schedule]\npass = "now and then"', [f'schedule.pass: "now and then"; {CRON}']),
    "no cron line": ('[schedule]\npass = "99 * * * *"', [f'schedule.pass: "99 * * * *"; {CRON}']),
    "every nothing": ('[schedule]\npass = "every 0 minutes"', ['schedule.pass: "every 0 minutes"; more than nothing']),
    # Conditions
    "a condition of an unknown name": (
        "[scope]\nexclude = \"job_titel = 'x'\"", ["scope.exclude: the unknown name job_titel; did you mean job_title?"],
    ),
    "a scope that reads what judging brings": (
        '[scope]\nonly = "score > 5"', ["scope.only: reads score; who is in scope is judged before these are known: leave it out"],
    ),
    "a criterion that reads the score and the criteria": (
        '[qualification]\nminimum = 1\n[[qualification.criteria]]\nname = "c"\nwhen = "score > 1 AND qualified"',
        [f'qualification.criteria[0] "c".when: reads {name}; {CRITERION}' for name in ("qualified", "score")],
    ),
    "a score that reads itself": (
        '[[score]]\nname = "s"\npoints = 1\nwhen = "score > 1"',
        ['score[0] "s".when: reads score; the score cannot depend on itself: leave it out'],
    ),
    "a condition that is no text": ("[scope]\nonly = 5", ["scope.only: 5; a condition, like \"country = 'Germany'\""]),
    # What is not declared
    "names that are not declared": (
        '[[transition]]\nname = "hot"\nfrom = ["", "lea"]\nto = "mqll"\nwhen = "qualified"\nthen = [{ task = "alart" }, { assign = "x" }]',
        [
            'transition[0] "hot".from[1]: "lea" is not declared in [[stages]]; did you mean "lead"?',
            'transition[0] "hot".to: "mqll" is not declared in [[stages]]; did you mean "mql"?',
            'transition[0] "hot".then[0].task: "alart" is not declared in [task]; did you mean "alert"?',
            'transition[0] "hot".then[1].assign: "x" is not declared in [assign]; one of "inbound"',
        ],
    ),
    "a team that is not declared": (
        '[assign.a]\nteam = "inbund"', ['assign.a.team: "inbund" is not declared in [team]; did you mean "inbound"?'],
    ),
    "a calendar that is not declared": (
        '[team.two]\nworks_in = "hubspot"\ncalendar = "vienna"',
        ['team.two.calendar: "vienna" is not declared in [calendar]; declare it in [calendar]'],
    ),
    "a field that is not declared": (
        RULE + 'again_if_changed = ["contry"]', ['transition[0] "hot".again_if_changed[0]: "contry" is no field; did you mean "country"?'],
    ),
    "a field of another type": (
        '[[score]]\nname = "s"\npoints = 1\nwhen = "qualified"\ntimes = "created_at"',
        ['score[0] "s".times: "created_at" is of type datetime; a field of type "integer" or "number"'],
    ),
    "a wrong type, but no second problem for what reads the field": (
        '[fields.x]\ntype = "integr"\nhubspot = "x"\n[[score]]\nname = "s"\npoints = 1\nwhen = "x > 1"',
        ['fields.x.type: "integr"; did you mean "integer"?'],
    ),
    # Rules
    "actions that are none or two": (
        RULE + 'then = [{}, { task = "alert", assign = "inbound" }]',
        [
            'transition[0] "hot".then[0]: no action; exactly one of assign, task; several stand as several { … }',
            'transition[0] "hot".then[1]: two actions; exactly one of assign, task; several stand as several { … }',
        ],
    ),
    "two rules of one name": (
        RULE + RULE.replace("hot", "HOT"),
        ['transition[1] "HOT".name: "HOT" a second time; each once; the first is transition[0] "hot".name'],
    ),
    "two acting rules of one id": (
        RULE + SLA + 'id = "hot"', ['sla[0] "first".id: "hot" a second time; each once; the first is transition[0] "hot".name'],
    ),
    "a step to where it starts": (
        RULE + 'from = ["mql"]',
        ['transition[0] "hot".to: "mql" is one of from; another stage: a step goes from one stage to another'],
    ),
    "a stage that no CRM can be told": (
        RULE.replace('"mql"', '"elsewhere"'),
        ['transition[0] "hot".to: "elsewhere" can be written to no CRM of this file; a stage with a value in hubspot'],
    ),
    "a fading score without its beginning": (
        '[[score]]\nname = "s"\npoints = 1\nwhen = "qualified"\nhalf_life = "30 days"\nat_most = 3',
        [
            'score[0] "s".half_life: stands without since; say since too, or leave both out',
            'score[0] "s".at_most: stands without times; say times too, or leave both out',
        ],
    ),
    "more criteria than there are": (
        '[qualification]\nminimum = 2\n[[qualification.criteria]]\nname = "c"\nwhen = "rejected_before"',
        ["qualification.minimum: 2; at most 1, as many as there are criteria"],
    ),
    "a warning before the start": (
        SLA + 'warn = "60 minutes"', ['sla[0] "first".warn: "60 minutes"; less than within, "1 hour": it goes back from there'],
    ),
    "placeholders": (
        '[task.t]\nsubject = "{frist_name} {wat} {score:>3}"\nbody = "{ {"\ndue = "1 hour"',
        [
            "task.t.subject: {frist_name} is no field; did you mean {first_name}?",
            "task.t.subject: {wat} is no field; a field's name, or {links}, {why}, {recent}",
            "task.t.subject: a name with : or ! behind it; {name} alone",
            "task.t.body: a { or } without its partner; {name} for a value; {{ and }} for the signs themselves",
        ],
    ),
    # Places and people
    "e-mails that are none": (
        '[team.two]\nworks_in = "hubspot"\nmembers = ["anna(at)acme"]\nmanager = "x"',
        [f'team.two.members[0]: "anna(at)acme"; {EMAIL}', f'team.two.manager: "x"; {EMAIL}'],
    ),
    "a person in two teams": (
        '[team.two]\nworks_in = "hubspot"\nmembers = ["Anna@acme.example"]',
        ['team.two.members[0]: "anna@acme.example" is a member of [team.inbound] already; one team for each person, once'],
    ),
    "an owner of another team": (
        "[assign.a]\nteam = \"inbound\"\nroutes = [{ when = \"country = 'Austria'\", owners = [\"ana@acme.example\"] }]",
        ['assign.a.routes[0].owners[0]: "ana@acme.example" is no member of [team.inbound]; did you mean "anna@acme.example"?'],
    ),
    "a manager that a task needs": (
        '[team.two]\nside = "sales"\nworks_in = "hubspot"\n[task.t]\nsubject = "x"\ndue = "1 hour"\nassign_to = "manager"',
        ["team.two.manager: missing; this key is needed: [task.t] goes to the manager of the owner's team"],
    ),
    "an action in a CRM that the file does not have": (
        '[team.two]\nworks_in = "salesforce"',
        ['team.two.works_in: "salesforce", which this file does not have; declare [crm.salesforce], or name the CRM there is'],
    ),
    "a field that lives nowhere": ("[fields.x]", ["fields.x: lives in no CRM; say where: hubspot, salesforce or both"]),
    "a field of a computed name": ('[fields.stage]\nhubspot = "x"', ["fields.stage: a name that the connector itself gives; another name"]),
    "a field named like a word of conditions": (
        '[fields.and]\nhubspot = "x"',
        ["fields.and: no name for a field; small letters, digits and _, at most 40, and no word of the condition language"],
    ),
    "a property by its label": (
        '[fields.x]\nhubspot = "Some Label"',
        ['fields.x.hubspot: "Some Label"; a property\'s internal name, like "jobtitle" or "company.industry"'],
    ),
    "two names for one value": (
        '[fields.x]\nhubspot = "x"\ntype = "choice"\nvalues = { a = { hubspot = "1" }, b = { hubspot = "1" } }',
        ['fields.x.values.b.hubspot: "1" a second time; each once; the first is fields.x.values.a.hubspot'],
    ),
    "two stages of one value": (
        '[[stages]]\nname = "MQL"\nhubspot = ["x", "sql"]',
        [
            'stages[4] "MQL".name: "MQL" a second time; each once; the first is stages[1] "mql".name',
            'stages[4] "MQL".hubspot: "sql" a second time; each once; the first is stages[2] "sql".hubspot',
        ],
    ),
    "hours": (
        '[calendar]\nhours = { mon = "9-17", tue = "17:00-09:00", wed = ["09:00-12:00", "11:00-13:00"], thur = "x" }',
        [
            f'calendar.hours.mon: "9-17"; {HOURS}',
            'calendar.hours.tue: "17:00-09:00"; a closing after the opening; midnight is "24:00"',
            "calendar.hours.wed: hours that overlap; each span after the one before",
            'calendar.hours.thur: "thur"; one of "mon", "tue", "wed", "thu", "fri", "sat", "sun"',
        ],
    ),
    "zones and holidays": (
        '[calendar]\ntimezone = "Europe/Berln"\nholidays = "LI-XX"\n[calendar.x]\nholidays = "Germany"\nextra_holidays = ["2026-12-24"]',
        [
            'calendar.timezone: "Europe/Berln"; did you mean "Europe/Berlin"?',
            'calendar.holidays: no holidays are known of "LI-XX"; "LI" alone',
            'calendar.x.holidays: no holidays are known of "Germany"; a country by its code of two letters, like "DE"',
            'calendar.x.extra_holidays[0]: "2026-12-24"; a date without quotes, like 2026-12-24',
        ],
    ),
    "business time without hours": (
        '[task.t]\nsubject = "x"\ndue = "1 business hour"',
        ['calendar.hours: no hours; like { mon = "09:00-17:30", … }: task.t.due counts business time'],
    ),
    # Secrets and addresses
    "secrets written out": (
        '[database]\npassword = "hidden"\n[crm.salesforce]\ninstance_url = "https://x.io"\nclient_id = "env:A"\nclient_secret = "hidden"',
        [f"database.password: {SECRET}", f"crm.salesforce.client_secret: {SECRET}"],
    ),
    "a password in an address": (
        '[database]\nurl = "postgresql+psycopg://user:hidden@host/db"',
        ['database.url: a password written out; leave it out, and say password = "env:NAME"'],
    ),
    "a password beside an address": (
        '[database]\nurl = "postgresql+psycopg://user@host/db?password=hidden"',
        ['database.url: a password written out; leave it out, and say password = "env:NAME"'],
    ),
    "a database of another kind": (
        '[database]\nurl = "mysql://host/db"', ['database.url: "mysql"; a database by "sqlite:///…" or "postgresql+psycopg://…"'],
    ),
    "a variable that is not set": (
        '[database]\nurl = "env:NO_SUCH_VARIABLE"',
        ['database.url: "env:NO_SUCH_VARIABLE": the environment variable is not set; set NO_SUCH_VARIABLE'],
    ),
    "credentials that a login needs": (
        '[crm.salesforce]\nauth = "jwt"\ninstance_url = "https://x.example"\nclient_id = "env:A"',
        [
            'crm.salesforce.username: missing; auth = "jwt" needs it',
            'crm.salesforce.private_key: missing; auth = "jwt" needs it',
        ],
    ),
    # Examples
    "an example's names and values": (
        ('[[example]]\nname = "e"\ncontact = { emial = "x", created_at = "x", stage = "mqll", hubspot.lead_status = 5 }\n'
        'expect = { fire = "a", criteria_met = "x", excluded = 1, touch_count = 1, fires = "b" }'),
        [
            'example[0] "e".contact.emial: unknown name; did you mean email?',
            'example[0] "e".contact.created_at: "x"; a date or moment without quotes',
            'example[0] "e".contact.stage: "mqll" is not declared in [[stages]]; did you mean "mql"?',
            'example[0] "e".contact.hubspot.lead_status: 5; a text in quotes',
            'example[0] "e".expect.fire: unknown name; did you mean fires?',
            'example[0] "e".expect.criteria_met: "x"; a whole number, without quotes',
            'example[0] "e".expect.excluded: 1; true or false, without quotes',
            'example[0] "e".expect.touch_count: needs a history; not built yet: leave it out',
            'example[0] "e".expect.fires: "b" is not declared in [[transition]]; leave it out',
        ],
    ),
    # Not built
    "tables that are not built": ("[review]\n[[absence]]", [f"review: {NOT_BUILT}", f"absence: {NOT_BUILT}"]),
    "keys that are not built": (
        '[schedule]\nreview = "x"\ndigest = "x"\n[guard]\nnotify = 5',
        [f"{key}: {NOT_BUILT}" for key in ("schedule.review", "schedule.digest", "guard.notify")],
    ),
    "keys of rules that are not built": (
        RULE + 'then = [{ create_in = "hubspot" }, { notify = "x" }]\n' + SLA + "on_step = []",
        [
            f'transition[0] "hot".then[0].create_in: {NOT_BUILT}',
            f'transition[0] "hot".then[1].notify: {NOT_BUILT}',
            f'sla[0] "first".on_step: {NOT_BUILT}',
        ],
    ),
    "values that are not built": (
        '[fields.x]\nhubspot = "x"\nsync = "latest"\n[assign.a]\nteam = "inbound"\nmethod = "keep"\n' + SLA.replace("response", "routing"),
        [
            'fields.x.sync: "latest"; not built yet: leave it out',
            'assign.a.method: "keep"; not built yet: leave it out',
            'sla[0] "first".kind: "routing"; not built yet: leave it out',
        ],
    ),
    "a rejection that is not built": (
        REJECTION + 'reset = { hubspot.lead_status = "X" }\n[rejection.reasons]\n"No budget" = { recycle_after = "1 day", to = "x" }',
        [
            f'rejection.reasons."No budget".recycle_after: {NOT_BUILT}',
            f'rejection.reasons."No budget".to: {NOT_BUILT}',
            f"rejection.reset: {NOT_BUILT}",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("added", "expected"), CASES.values(), ids=CASES.keys())
def test_says_where_what_and_what_would_be_right(added: str, expected: list[str]) -> None:
    texts = problems(BASE + added)
    assert texts == expected
    assert not [text for text in texts if "hidden" in text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ["crm: no CRM; [crm.hubspot], [crm.salesforce] or both"], id="empty"),
        pytest.param("crm = 5", ["crm: 5; a table"], id="no table"),
        pytest.param(
            "[crm.hubspot]", ['crm.hubspot.access_token: missing; this key is needed, like "env:HUBSPOT_ACCESS_TOKEN"'], id="no token"
        ),
        pytest.param(
            SLA + '[crm.hubspot]\naccess_token = "env:T"',
            [f'stages: no stage named "{name}"; [sla] counts attempts, from mql to sql' for name in ("mql", "sql")],
            id="no mql",
        ),
        pytest.param(
            'mode = "fast"\ntimezone = "Mars/Olympus"\n[crm.hubspot]\naccess_token = "env:T"',
            ['mode: "fast"; one of "shadow", "live"', 'timezone: "Mars/Olympus"; a time zone like "Europe/Berlin"'],
            id="the head",
        ),
        pytest.param(
            "mode = 'live'\n[crm.hubspot\n",
            ["line 2, column 13: Expected ']' at the end of a table declaration; a valid TOML file"],
            id="no TOML",
        ),
        pytest.param('mode = "live', ["the end of the file: Unterminated string; a valid TOML file"], id="cut off"),
        pytest.param(
            "[crm.hubspot]\n[crm.hubspot]\n", ["line 2, column 13: Cannot declare ('crm', 'hubspot') twice; a valid TOML file"], id="twice"
        ),
    ],
)
def test_of_a_whole_file(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_all_problems_of_a_very_bad_file_come_at_once() -> None:
    """Also those that compare keys of a rule of which another key is wrong."""
    texts = problems(
        """
        mode = "fast"
        colour = "red"
        [crm.hubspot]
        access_token = "hidden"
        headroom = 0.2
        [team.inbound]
        side = "sale"
        members = ["x"]
        works_in = "salesforce"
        [fields.Big]
        hubspot = "x"
        [[stages]]
        name = "mql"
        hubspot = 5
        [[transition]]
        name = "hot"
        from = ["mql"]
        to = "mql"
        when = "scor > 5"
        then = [{ task = "t", assign = "a" }]
        [task.t]
        subject = "{frist_name}"
        due = "soon"
        [[score]]
        name = "s"
        points = "many"
        when = "country = "
        half_life = "3 days"
        [[sla]]
        name = "hot"
        kind = "persistence"
        touches = 1
        channels = 3
        within = "4 business hours"
        [review]
        """
    )
    paths = [text.split(": ")[0] for text in texts]
    assert sorted(paths) == sorted(
        [
            "mode", "colour", "review", "crm.hubspot.access_token", "crm.hubspot.headroom",
            "team.inbound.side", "team.inbound.members[0]", "team.inbound.works_in", "fields.Big", 'stages[0] "mql".hubspot', "stages",
            'transition[0] "hot".to', 'transition[0] "hot".when', 'transition[0] "hot".then[0].assign', "task.t.subject", "task.t.due",
            'score[0] "s".points', 'score[0] "s".when', 'score[0] "s".half_life',
            'sla[0] "hot".kind', 'sla[0] "hot".channels', 'sla[0] "hot".name', "calendar.hours",
        ]
    )  # fmt: skip
    assert not [text for text in texts if "hidden" in text]
