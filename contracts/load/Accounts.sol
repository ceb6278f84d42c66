// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Accounts by name, as benchmarks of permissioned networks have them
/// @notice Opening writes one new slot, a transfer changes two: what Caliper's "simple" workload does.
contract Accounts {
    mapping(string name => uint256) private _balances;

    /// @notice There is an account of this name, or too little on it.
    error AccountsRefused(string name);

    /// @notice Open an account.
    /// @param name of the account, unused so far.
    /// @param amount on it, over 0.
    function open(string calldata name, uint256 amount) external {
        if (_balances[name] != 0) revert AccountsRefused(name);
        _balances[name] = amount;
    }

    /// @notice Move an amount from one account to another.
    function transfer(string calldata from, string calldata to, uint256 amount) external {
        uint256 held = _balances[from];
        if (held < amount) revert AccountsRefused(from);
        _balances[from] = held - amount;
        _balances[to] += amount;
    }

    /// @notice What is on an account.
    function balanceOf(string calldata name) external view returns (uint256) {
        return _balances[name];
    }
}
