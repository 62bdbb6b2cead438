#pragma once

/// A users' file. `joe` has a hash that nobody's password has: whoever plays the server's part says
/// what is right. `bound` has a SCRAM secret, and may send as one address alone.
inline constexpr const char* k_known_users =
    "joe:$6$rounds=1000$aaaaaaaa$"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    "bound:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU= bound@b.test\n";
