"""Salesforce's facts without I/O: requests out; answers into values or typed errors; the vendor's page beside each fact."""
