"""What the sandbox's Salesforce knows about its objects: standard fields, the connector's custom fields, and picklists.

Written as text tables, one field per comma: name, type[:length], then marks. Marks: `ro` read-only; `once` settable only on create;
`must` required; `deep` neither filterable nor sortable; `key` unique External Id; `calc` a formula, whose changes move no stamp; `multi`
only in orgs with several currencies; `>A|B` what a reference points at.
Fields follow the Object Reference (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/).
"""

from __future__ import annotations

_STAMPS = """
    CreatedDate datetime ro, CreatedById reference >User ro, LastModifiedDate datetime ro, LastModifiedById reference >User ro,
    SystemModstamp datetime ro"""
_SYSTEM = "Id id ro, IsDeleted boolean ro," + _STAMPS

#: Object → its fields. User, Group and LeadStatus have no IsDeleted, LeadHistory has no stamp but CreatedDate: so does the service.
TABLES = {
    "Lead": _SYSTEM
    + """, MasterRecordId reference >Lead ro, LastName string:80 must, FirstName string:40, Salutation picklist:40, Name string:121 ro,
    Title string:128, Company string:255 must, Street textarea:255, City string:40, State string:80, PostalCode string:20,
    Country string:80, Phone phone:40, MobilePhone phone:40, Fax phone:40, Email email:80, Website url:255, PhotoUrl url:255 ro,
    Description textarea:32000 deep, LeadSource picklist:255, Status picklist:255, Industry picklist:255, Rating picklist:255,
    AnnualRevenue currency, NumberOfEmployees int, OwnerId reference >Group|User, HasOptedOutOfEmail boolean, DoNotCall boolean,
    IsConverted boolean ro, ConvertedDate date ro, ConvertedAccountId reference >Account ro, ConvertedContactId reference >Contact ro,
    ConvertedOpportunityId reference >Opportunity ro, IsUnreadByOwner boolean, LastActivityDate date ro, LastViewedDate datetime ro,
    LastReferencedDate datetime ro, Jigsaw string:20, JigsawContactId string:20 ro, CleanStatus picklist:40,
    CompanyDunsNumber string:9, DandbCompanyId string:18, EmailBouncedReason string:255 ro, EmailBouncedDate datetime ro,
    IndividualId string:18, Budget__c currency, Timeline__c picklist:255, Rejection_Reason__c picklist:255, NAICS__c string:6,
    Handoff_Score__c double, Grade__c string:1300 ro calc""",
    "Contact": _SYSTEM
    + """, MasterRecordId reference >Contact ro, AccountId reference >Account, LastName string:80 must, FirstName string:40,
    Salutation picklist:40, Name string:121 ro, Title string:128, Department string:80, MailingStreet textarea:255,
    MailingCity string:40, MailingState string:80, MailingPostalCode string:20, MailingCountry string:80, Phone phone:40,
    MobilePhone phone:40, HomePhone phone:40, Fax phone:40, Email email:80, ReportsToId reference >Contact, LeadSource picklist:255,
    Birthdate date, Description textarea:32000 deep, OwnerId reference >User, HasOptedOutOfEmail boolean, DoNotCall boolean,
    LastActivityDate date ro, LastCURequestDate datetime ro, LastCUUpdateDate datetime ro, EmailBouncedReason string:255 ro,
    EmailBouncedDate datetime ro, IsEmailBounced boolean ro, PhotoUrl url:255 ro, IndividualId string:18, Budget__c currency,
    Timeline__c picklist:255, Rejection_Reason__c picklist:255, Handoff_Score__c double""",
    "Account": _SYSTEM
    + """, MasterRecordId reference >Account ro, Name string:255 must, Type picklist:255, ParentId reference >Account,
    BillingStreet textarea:255, BillingCity string:40, BillingState string:80, BillingPostalCode string:20, BillingCountry string:80,
    Phone phone:40, Fax phone:40, AccountNumber string:40, Website url:255, Sic string:20, NaicsCode string:8, NaicsDesc string:120,
    Industry picklist:255, AnnualRevenue currency, NumberOfEmployees int, Ownership picklist:255, Description textarea:32000 deep,
    Rating picklist:255, OwnerId reference >User, LastActivityDate date ro, AccountSource picklist:255""",
    "Task": _SYSTEM
    + """, WhoId reference >Contact|Lead, WhatId reference >Account|Opportunity, WhoCount int ro, WhatCount int ro, Subject combobox:255,
    ActivityDate date, Status picklist:255, Priority picklist:255, IsHighPriority boolean ro, OwnerId reference >Group|User,
    Description textarea:32000 deep, Type picklist:40, AccountId reference >Account ro, IsClosed boolean ro,
    IsArchived boolean ro, CallDurationInSeconds int, CallType picklist:255, CallDisposition string:255, CallObject string:255,
    ReminderDateTime datetime, IsReminderSet boolean, RecurrenceActivityId reference >Task ro, IsRecurrence boolean once,
    TaskSubtype picklist:40 once, CompletedDateTime datetime ro, Handoff_Key__c string:255 key""",
    "Event": _SYSTEM
    + """, WhoId reference >Contact|Lead, WhatId reference >Account|Opportunity, WhoCount int ro, Subject combobox:255, Location string:255,
    IsAllDayEvent boolean, ActivityDateTime datetime, ActivityDate date, DurationInMinutes int, StartDateTime datetime,
    EndDateTime datetime, EndDate date ro, Description textarea:32000 deep, Type picklist:40, AccountId reference >Account ro,
    OwnerId reference >User, IsPrivate boolean, ShowAs picklist:40, IsChild boolean ro, IsGroupEvent boolean ro,
    GroupEventType picklist:40 ro, IsArchived boolean ro, EventSubtype picklist:40 once, ReminderDateTime datetime,
    IsReminderSet boolean, IsRecurrence boolean once, RecurrenceActivityId reference >Event ro""",
    "User": "Id id ro,"
    + _STAMPS
    + """, Username string:80 must, LastName string:80 must, FirstName string:40, Name string:121 ro, CompanyName string:80,
    Division string:80, Department string:80, Title string:80, Email email:128 must, Alias string:8, Phone phone:40,
    MobilePhone phone:40, IsActive boolean, TimeZoneSidKey picklist:40, LocaleSidKey picklist:40, LanguageLocaleKey picklist:40,
    UserRoleId reference >UserRole, ProfileId string:18, UserType picklist:40 ro, ManagerId reference >User, LastLoginDate datetime ro,
    EmployeeNumber string:20""",
    "Group": "Id id ro,"
    + _STAMPS
    + """, Name string:40 must, DeveloperName string:80, RelatedId string:18 ro, Type picklist:40 once, Email email:255,
    OwnerId reference >User ro, DoesSendEmailToMembers boolean, DoesIncludeBosses boolean""",
    "LeadHistory": """Id id ro, IsDeleted boolean ro, LeadId reference >Lead ro, CreatedById reference >User ro, CreatedDate datetime ro,
    Field picklist:255 ro, DataType picklist:40 ro, OldValue string:255 ro deep, NewValue string:255 ro deep""",
    "LeadStatus": "Id id ro,"
    + _STAMPS
    + """, MasterLabel string:255 ro, ApiName string:255 ro, SortOrder int ro, IsDefault boolean ro, IsConverted boolean ro""",
    "Opportunity": _SYSTEM
    + """, AccountId reference >Account, IsPrivate boolean, Name string:120 must, Description textarea:32000 deep,
    StageName picklist:255 must, Amount currency, Probability percent, CloseDate date must, Type picklist:255, NextStep string:255,
    LeadSource picklist:255, IsClosed boolean ro, IsWon boolean ro, ForecastCategoryName picklist:255, CampaignId reference >Campaign,
    CurrencyIsoCode picklist:255 multi, OwnerId reference >User, ContactId reference >Contact once, LastActivityDate date ro""",
    "OpportunityContactRole": _SYSTEM
    + """, OpportunityId reference >Opportunity once must, ContactId reference >Contact must, Role picklist:255, IsPrimary boolean""",
    "Campaign": _SYSTEM
    + """, Name string:80 must, ParentId reference >Campaign, Type picklist:255, Status picklist:255, StartDate date, EndDate date,
    IsActive boolean, Description textarea:32000 deep, ExpectedRevenue currency, BudgetedCost currency, ActualCost currency,
    NumberSent double, CurrencyIsoCode picklist:255 multi, OwnerId reference >User, LastActivityDate date ro""",
    "CampaignMember": _SYSTEM
    + """, CampaignId reference >Campaign once must, LeadId reference >Lead once, ContactId reference >Contact once,
    Status picklist:255, HasResponded boolean ro, FirstRespondedDate date ro""",
    "TaskWhoRelation": "Id id ro, TaskId reference >Task ro, RelationId reference >Contact|Lead ro, Type string:50 ro",
    "EventWhoRelation": "Id id ro, EventId reference >Event ro, RelationId reference >Contact|Lead ro, Type string:50 ro",
    "UserRole": """Id id ro, Name string:80 must, ParentRoleId reference >UserRole, DeveloperName string:80 must,
    LastModifiedDate datetime ro, LastModifiedById reference >User ro, SystemModstamp datetime ro""",
}

#: Keys that rows may carry for the sandbox's own use and that the service's object does not have.
INTERNAL = {
    "User": {"IsDeleted"},
    "Group": {"IsDeleted"},
    "LeadStatus": {"IsDeleted"},
    "LeadHistory": {"LastModifiedDate", "LastModifiedById", "SystemModstamp"},
    "UserRole": {"IsDeleted", "CreatedDate", "CreatedById"},
}

#: The first three characters of an object's ids.
PREFIXES = {
    "Lead": "00Q",
    "Contact": "003",
    "Account": "001",
    "Task": "00T",
    "Event": "00U",
    "User": "005",
    "Group": "00G",
    "LeadHistory": "017",
    "LeadStatus": "01J",
    "Opportunity": "006",
    "OpportunityContactRole": "00K",
    "Campaign": "701",
    "CampaignMember": "00v",
    "UserRole": "00E",
    "TaskWhoRelation": "0RT",
    "EventWhoRelation": "0RE",
}

#: Objects that nobody writes: setup data, and history that the service writes by itself.
READ_ONLY = frozenset({"LeadHistory", "LeadStatus", "UserRole", "TaskWhoRelation", "EventWhoRelation"})

#: What a polymorphic relationship (Owner, Who) shows: the fields of the service's Name object.
NAME_FIELDS = ("Id", "Name", "FirstName", "LastName", "Email", "Phone", "Title", "Type", "Username", "IsActive", "Alias", "ProfileId")

_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_INDUSTRIES = (
    "Agriculture", "Banking", "Biotechnology", "Chemicals", "Construction", "Consulting", "Education", "Electronics", "Energy",
    "Engineering", "Finance", "Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media",
    "Not For Profit", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities", "Other",
)  # fmt: skip
#: Opportunity.StageName → probability in percent, closed, won.
STAGES = {
    "Prospecting": (10, False, False),
    "Qualification": (20, False, False),
    "Proposal/Price Quote": (60, False, False),
    "Negotiation/Review": (80, False, False),
    "Closed Won": (100, True, True),
    "Closed Lost": (0, True, False),
}
#: Statuses of a campaign's member that count as an answer.
RESPONSES = frozenset({"Responded", "Attended"})
#: In orgs with several currencies; the first is the org's own.
CURRENCIES = ("EUR", "CHF", "USD")
_REASONS = ("No budget", "No authority", "No need", "Bad timing", "Bad data", "Competitor", "Duplicate", "Unreachable")
_TIMELINES = ("now", "this quarter", "this year", "later")

#: (object, field) → values; those found in the data are added. Lead.Status comes from the LeadStatus rows.
PICKLISTS: dict[tuple[str, str], tuple[str, ...]] = {
    **{(name, "LeadSource"): _SOURCES for name in ("Lead", "Contact")},
    **{(name, "Industry"): _INDUSTRIES for name in ("Lead", "Account")},
    **{(name, "Rejection_Reason__c"): _REASONS for name in ("Lead", "Contact")},
    **{(name, "Timeline__c"): _TIMELINES for name in ("Lead", "Contact")},
    ("Lead", "Rating"): ("Hot", "Warm", "Cold"),
    ("Task", "Status"): ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    ("Task", "Priority"): ("High", "Normal", "Low"),
    ("Task", "TaskSubtype"): ("Task", "Email", "ListEmail", "Cadence", "Call"),
    ("Task", "Type"): ("Call", "Email", "Meeting", "Other"),
    ("Task", "CallType"): ("Internal", "Inbound", "Outbound"),
    ("Event", "ShowAs"): ("Busy", "OutOfOffice", "Free"),
    ("Event", "EventSubtype"): ("Event",),
    ("Group", "Type"): ("Queue", "Regular"),
    ("Opportunity", "LeadSource"): _SOURCES,
    ("Opportunity", "Type"): ("Existing Business", "New Business"),
    ("Opportunity", "StageName"): tuple(STAGES),
    ("Opportunity", "ForecastCategoryName"): ("Omitted", "Pipeline", "Best Case", "Commit", "Closed"),
    ("OpportunityContactRole", "Role"): ("Business User", "Decision Maker", "Economic Buyer", "Evaluator", "Influencer", "Other"),
    ("Campaign", "Type"): ("Conference", "Webinar", "Trade Show", "Email", "Advertisement", "Other"),
    ("Campaign", "Status"): ("Planned", "In Progress", "Completed", "Aborted"),
    ("CampaignMember", "Status"): ("Sent", "Opened", "Registered", "Responded", "Attended"),
    **{(name, "CurrencyIsoCode"): CURRENCIES for name in ("Opportunity", "Campaign")},
}

#: Picklists that refuse other values. Lead.Status is not one of them: an unknown status is accepted.
RESTRICTED = frozenset(
    {("Lead", "Rejection_Reason__c"), ("Contact", "Rejection_Reason__c"), ("Task", "TaskSubtype"), ("Task", "CallType")}
    | {(name, "CurrencyIsoCode") for name in ("Opportunity", "Campaign")}
)

#: What a new record holds where the request says nothing.
DEFAULTS: dict[str, dict[str, str | bool]] = {
    "Task": {"Status": "Not Started", "Priority": "Normal", "TaskSubtype": "Task"},
    "Event": {"EventSubtype": "Event", "ShowAs": "Busy"},
    "Lead": {"IsUnreadByOwner": True},
    "Campaign": {"Status": "Planned"},
    "CampaignMember": {"Status": "Sent"},
}

#: What goes to the bin with a record, and comes back with it: object → (child object, its reference).
CHILDREN: dict[str, tuple[tuple[str, str], ...]] = {
    "Lead": (("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "LeadId"), ("LeadHistory", "LeadId")),
    "Contact": (("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "ContactId"), ("OpportunityContactRole", "ContactId")),
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId"), ("Task", "WhatId"), ("Event", "WhatId")),
    "Opportunity": (("OpportunityContactRole", "OpportunityId"), ("Task", "WhatId"), ("Event", "WhatId")),
    "Campaign": (("CampaignMember", "CampaignId"),),
}
