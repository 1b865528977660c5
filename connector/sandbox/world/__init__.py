"""The made-up company that both sandboxes show: its people, their histories, deals and calendars."""
