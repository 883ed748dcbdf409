"""What a survey asked, of whom: questions, options, traits, backgrounds and their ids; nothing here reads respondents."""
