"""The native PPO trainer; knows nothing of jobs, SQL, queues or markets."""
